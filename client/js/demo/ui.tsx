import * as Menu from '@radix-ui/react-dropdown-menu'
import { createContext, Fragment, useContext, useEffect, useRef, useState, type ButtonHTMLAttributes, type ReactNode } from 'react'
import { hueOf, nameOf } from './format.js'
import { Icon, type IconName } from './icons.js'

interface IconButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  icon: IconName
  label: string
  size?: number
  ref?: React.Ref<HTMLButtonElement>
}

export function IconButton({ icon, label, size, className = '', ...rest }: IconButtonProps) {
  return (
    <button type="button" className={`icon-button ${className}`} aria-label={label} title={label} {...rest}>
      <Icon name={icon} size={size} />
    </button>
  )
}

export function Avatar({ name, group = false, online, size = 40 }: { name: string; group?: boolean; online?: boolean; size?: number }) {
  return (
    <span className="avatar" style={{ '--hue': hueOf(name), '--size': `${size}px` } as React.CSSProperties} aria-hidden="true">
      {group ? <Icon name="people" size={size * 0.5} /> : nameOf(name).charAt(0)}
      {online && <span className="presence" />}
    </span>
  )
}

interface SegmentsProps<T extends string> {
  label: string
  options: readonly { value: T; label: ReactNode; name?: string }[]
  value: T
  onChange: (value: T) => void
  className?: string
}

/** One of a few, side by side. Arrow keys move, as among the radio buttons of a form. */
export function Segments<T extends string>({ label, options, value, onChange, className = 'segments' }: SegmentsProps<T>) {
  const keys = (event: React.KeyboardEvent<HTMLDivElement>) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key]
    if (!step) return
    event.preventDefault()
    const at = (options.findIndex((o) => o.value === value) + step + options.length) % options.length
    event.currentTarget.querySelectorAll('button')[at]!.focus()
    onChange(options[at]!.value)
  }
  return (
    <div className={className} role="radiogroup" aria-label={label} onKeyDown={keys}>
      {options.map((o) => (
        <button key={o.value} type="button" role="radio" aria-checked={o.value === value} aria-label={o.name} tabIndex={o.value === value ? 0 : -1} onClick={() => onChange(o.value)}>
          {o.label}
        </button>
      ))}
    </div>
  )
}

/** What a menu lies in: the dialog that it belongs to, to be above it, and else what the page is about. */
export const Within = createContext<HTMLElement | null>(null)

/** A dialog of the browser: it keeps the focus, closes with Escape, and lies above everything. */
export function Dialog({ title, onClose, children, wide = false }: { title: string; onClose: () => void; children: ReactNode; wide?: boolean }) {
  const ref = useRef<HTMLDialogElement>(null)
  const [element, setElement] = useState<HTMLDialogElement | null>(null)
  useEffect(() => {
    const dialog = ref.current!
    const opener = document.activeElement
    if (!dialog.open) dialog.showModal()
    dialog.querySelector('h2')?.focus()
    setElement(dialog)
    return () => {
      if (opener instanceof HTMLElement && opener.isConnected) opener.focus()
    }
  }, [])
  return (
    <dialog
      ref={ref}
      className={wide ? 'wide' : ''}
      aria-label={title}
      onClose={onClose}
      onClick={(event) => event.target === ref.current && ref.current.close()}
    >
      <div className="dialog-body">
        <header>
          <h2 tabIndex={-1}>{title}</h2>
          <IconButton icon="close" label="Close" onClick={() => ref.current?.close()} />
        </header>
        <Within value={element}>{children}</Within>
      </div>
    </dialog>
  )
}

export interface MenuEntry {
  label: string
  icon: IconName
  onSelect: () => void
  danger?: boolean
  checked?: boolean
}

interface MenuProps {
  trigger: ReactNode
  entries: (MenuEntry | false | undefined)[]
  align?: 'start' | 'end'
  open?: boolean
  onOpenChange?: (open: boolean) => void
}

/** A menu. What was chosen is done once it is closed and its button has the focus again: a dialog gives the focus back to that. */
export function DropdownMenu({ trigger, entries, align = 'end', open, onOpenChange }: MenuProps) {
  const chosen = useRef<() => void>(undefined)
  const within = useContext(Within)
  const closed = () => {
    const then = chosen.current
    chosen.current = undefined
    if (then) setTimeout(then)
  }
  const shown = entries.filter((e) => !!e)
  return (
    <Menu.Root modal={false} open={open} onOpenChange={onOpenChange}>
      <Menu.Trigger asChild>{trigger}</Menu.Trigger>
      <Menu.Portal container={within}>
        <Menu.Content className="menu" align={align} sideOffset={4} collisionPadding={8} onCloseAutoFocus={closed}>
          {shown.map((entry, i) => (
            <Fragment key={entry.label}>
              {entry.danger && i > 0 && !shown[i - 1]!.danger && <Menu.Separator className="menu-line" />}
              <Menu.Item className={`menu-item ${entry.danger ? 'danger' : ''}`} onSelect={() => (chosen.current = entry.onSelect)}>
                <Icon name={entry.icon} size={18} />
                {entry.label}
                {entry.checked && (
                  <span className="menu-check">
                    <Icon name="check" size={16} />
                    <span className="unseen">(chosen)</span>
                  </span>
                )}
              </Menu.Item>
            </Fragment>
          ))}
        </Menu.Content>
      </Menu.Portal>
    </Menu.Root>
  )
}
