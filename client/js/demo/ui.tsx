import * as Menu from '@radix-ui/react-dropdown-menu'
import { useEffect, useRef, type ButtonHTMLAttributes, type ReactNode } from 'react'
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

/** A dialog of the browser: it keeps the focus, closes with Escape, and lies above everything. */
export function Dialog({ title, onClose, children, wide = false }: { title: string; onClose: () => void; children: ReactNode; wide?: boolean }) {
  const ref = useRef<HTMLDialogElement>(null)
  useEffect(() => {
    if (!ref.current?.open) ref.current?.showModal()
    ref.current?.querySelector('h2')?.focus()
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
        {children}
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

export function DropdownMenu({ trigger, entries, align = 'end' }: { trigger: ReactNode; entries: (MenuEntry | false | undefined)[]; align?: 'start' | 'end' }) {
  return (
    <Menu.Root modal={false}>
      <Menu.Trigger asChild>{trigger}</Menu.Trigger>
      <Menu.Portal>
        <Menu.Content className="menu" align={align} sideOffset={4} collisionPadding={8}>
          {entries.filter((e) => !!e).map((entry) => (
            <Menu.Item key={entry.label} className={`menu-item ${entry.danger ? 'danger' : ''}`} onSelect={entry.onSelect}>
              <Icon name={entry.icon} size={18} />
              {entry.label}
              {entry.checked && <span className="menu-check" aria-hidden="true">✓</span>}
            </Menu.Item>
          ))}
        </Menu.Content>
      </Menu.Portal>
    </Menu.Root>
  )
}
