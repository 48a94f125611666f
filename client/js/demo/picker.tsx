import { useLayoutEffect, useRef, useState } from 'react'
import { GROUPS } from './emoji.js'
import { Icon } from './icons.js'

/** Emojis to choose from: a few at once, all on request. Arrow keys move, Escape closes. */
export function EmojiPicker({ quick, onPick, onClose }: { quick?: readonly string[]; onPick: (emoji: string) => void; onClose: () => void }) {
  const [all, setAll] = useState(!quick)
  const box = useRef<HTMLDivElement>(null)
  // It lies above everything, over the button that it belongs to or, without room there, under it.
  useLayoutEffect(() => {
    const picker = box.current!
    const anchor = picker.parentElement!.getBoundingClientRect()
    picker.showPopover()
    const { width, height } = picker.getBoundingClientRect()
    const top = anchor.top - height - 6
    picker.style.left = `${Math.max(8, Math.min(anchor.left - 8, innerWidth - width - 8))}px`
    picker.style.top = `${top >= 8 ? top : Math.min(anchor.bottom + 6, innerHeight - height - 8)}px`
    picker.querySelector('button')?.focus({ preventScroll: true })
  }, [all])
  const keys = (event: React.KeyboardEvent) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 8, ArrowUp: -8 }[event.key]
    if (!step) return
    event.preventDefault()
    const buttons = [...box.current!.querySelectorAll('button')]
    buttons[Math.min(buttons.length - 1, Math.max(0, buttons.indexOf(document.activeElement as HTMLButtonElement) + step))]?.focus()
  }
  return (
    <div className={`picker ${all ? 'all' : ''}`} ref={box} popover="auto" onToggle={(event) => event.newState === 'closed' && onClose()} role="group" aria-label="Emojis" onKeyDown={keys}>
      {!all ? (
        <>
          {quick!.map((emoji) => (
            <button key={emoji} type="button" aria-label={emoji} onClick={() => onPick(emoji)}>
              {emoji}
            </button>
          ))}
          <button type="button" aria-label="All emojis" onClick={() => setAll(true)}>
            <Icon name="plus" size={18} />
          </button>
        </>
      ) : (
        GROUPS.map(([name, emojis]) => (
          <div key={name} className="picker-group">
            <p>{name}</p>
            <div>
              {emojis.split(' ').map((emoji) => (
                <button key={emoji} type="button" aria-label={emoji} onClick={() => onPick(emoji)}>
                  {emoji}
                </button>
              ))}
            </div>
          </div>
        ))
      )}
    </div>
  )
}
