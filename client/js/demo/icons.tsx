// Icons on a grid of 20, drawn as lines of one width.
const paths = {
  back: 'M12.5 4.5 7 10l5.500 5.500',
  send: 'M4 10 3.200 4.200 17 10 3.200 15.800 4 10Zm0 0h6',
  smile: 'M10 17a7 7 0 1 0 0-14 7 7 0 0 0 0 14ZM7 11.500c.7 1.200 1.700 1.800 3 1.800s2.300-.6 3-1.800M7.600 8.200v.1M12.400 8.200v.1',
  reply: 'M8 5 3.500 9.500 8 14M4 9.500h7a5 5 0 0 1 5 5v.5',
  more: 'M5 10h.01M10 10h.01M15 10h.01',
  pin: 'M7 3.500h6M8 3.500v5l-2 3h8l-2-3v-5M10 11.500V17',
  timer: 'M10 17a6 6 0 1 0 0-12 6 6 0 0 0 0 12ZM10 8v3l2 1.500M8 2.500h4',
  edit: 'M4 16l.7-3.300L13 4.400l2.600 2.600-8.300 8.300L4 16Z',
  trash: 'M4 6h12M8 6V4h4v2M5.500 6l.7 10h7.600l.7-10',
  info: 'M10 17a7 7 0 1 0 0-14 7 7 0 0 0 0 14ZM10 9.200v4.300M10 6.500v.1',
  people: 'M7.500 9.500a2.700 2.700 0 1 0 0-5.400 2.700 2.700 0 0 0 0 5.400ZM2.500 16c.3-2.800 2.200-4.400 5-4.400s4.700 1.600 5 4.400M13 4.500a2.500 2.500 0 0 1 0 4.800M14.500 11.900c1.700.5 2.800 2 3 4.100',
  plus: 'M10 4v12M4 10h12',
  search: 'M9 14.500a5.500 5.500 0 1 0 0-11 5.500 5.500 0 0 0 0 11ZM13 13l4 4',
  close: 'M5 5l10 10M15 5 5 15',
  pulse: 'M2.500 10.500h3l2-6 4 11 2.500-7 1 2h2.500',
  bolt: 'M11 2.500 4.500 11.500H10l-1 6 6.500-9H10l1-6Z',
  plane: 'M17 3 3 9l5 2.500L10.500 17 17 3ZM8 11.500 12 8',
  copy: 'M7.500 7.500h8v8h-8zM12.500 7.500v-3h-8v8h3',
  sun: 'M10 13.500a3.500 3.500 0 1 0 0-7 3.500 3.500 0 0 0 0 7ZM10 2v1.500M10 16.500V18M2 10h1.500M16.500 10H18M4.300 4.300l1.100 1.100M14.600 14.600l1.100 1.100M15.700 4.300l-1.100 1.100M5.400 14.600l-1.100 1.100',
  moon: 'M16 11.800A6.500 6.500 0 0 1 8.200 4a6.500 6.500 0 1 0 7.800 7.800Z',
  down: 'M4.500 7.500 10 13l5.500-5.500',
  lock: 'M6.500 9V6.500a3.500 3.500 0 0 1 7 0V9M4.500 9h11v7.500h-11z',
  unlock: 'M6.500 9V6.500a3.500 3.500 0 0 1 6.800-1.200M4.500 9h11v7.500h-11z',
  open: 'M6 9V6.500a4 4 0 0 1 7.700-1.500M4.500 9h11v7.500h-11z',
  columns: 'M3 4h14v12H3zM10 4v12',
  copies: 'M4 6h9M4 10h12M4 14h7',
} as const

export type IconName = keyof typeof paths

export function Icon({ name, size = 20 }: { name: IconName; size?: number }) {
  return (
    <svg className={`icon i-${name}`} width={size} height={size} viewBox="0 0 20 20" aria-hidden="true">
      <path d={paths[name]} />
    </svg>
  )
}

/** One tick: the server has it. Two: their device has it. Coloured: read. */
export function Ticks({ state }: { state: 'sending' | 'sent' | 'delivered' | 'read' | 'failed' }) {
  const d = {
    sending: 'M8 3.500v4.500l2.500 1.500M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12Z',
    sent: 'M3.500 8.500 7 12l6.500-8',
    delivered: 'M1 8.500 4.500 12 11 4M8 11l1 1 6.500-8',
    read: 'M1 8.500 4.500 12 11 4M8 11l1 1 6.500-8',
    failed: 'M8 4.500v4.500M8 11.500v.1M8 14.500a6.500 6.500 0 1 0 0-13 6.500 6.500 0 0 0 0 13Z',
  }[state]
  return (
    <svg className={`ticks ${state}`} width="16" height="16" viewBox="0 0 16 16" role="img" aria-label={state}>
      <path d={d} />
    </svg>
  )
}
