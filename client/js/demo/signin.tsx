import { useState } from 'react'
import { people, Refusal } from './people.js'

/** Asks for a token of somebody. */
export function SignIn({ user = '', why, onDone }: { user?: string; why?: string; onDone: (user: string) => void }) {
  const [name, setName] = useState(user)
  const [token, setToken] = useState('')
  const [refusal, setRefusal] = useState<string>()
  const [checking, setChecking] = useState(false)
  const wanted = name.trim()
  const submit = async (event: React.FormEvent) => {
    event.preventDefault()
    setChecking(true)
    setRefusal(undefined)
    try {
      onDone(await people.add(token, wanted))
    } catch (error) {
      setRefusal(error instanceof Refusal ? error.message : error instanceof TypeError ? 'The server cannot be reached.' : (error as Error).message)
    } finally {
      setChecking(false)
    }
  }
  return (
    <form className="sign-in" onSubmit={(event) => void submit(event)}>
      {why && <p className="facts">{why}</p>}
      <label className="labelled">
        <span>User id</span>
        <input className="field" autoCapitalize="off" autoComplete="off" spellCheck={false} placeholder="dana" readOnly={!!user} value={name} onChange={(e) => setName(e.target.value)} />
      </label>
      <label className="labelled">
        <span>Token (JWT)</span>
        <textarea
          className="field token"
          rows={4}
          autoCapitalize="off"
          autoComplete="off"
          spellCheck={false}
          placeholder="eyJhbGciOiJIUzI1NiIs…"
          aria-invalid={!!refusal}
          aria-describedby="token-refusal token-help"
          value={token}
          onChange={(e) => {
            setToken(e.target.value)
            setRefusal(undefined)
          }}
        />
      </label>
      <p id="token-refusal" className="refusal" role="alert">
        {refusal}
      </p>
      <button type="submit" className="primary wide" disabled={!token.trim() || checking}>
        {checking ? 'Asking the server…' : 'Sign in'}
      </button>
      <div id="token-help" className="facts">
        Your backend makes tokens for those who have logged in. To try Parley, make one with the secret that the server has:
        <pre>
          <code>parley token --sub {wanted || 'dana'} --jwt-secret-file FILE</code>
        </pre>
        The token stays in this tab, and goes to this server only.
      </div>
    </form>
  )
}
