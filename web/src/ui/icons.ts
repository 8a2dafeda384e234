// Paths for a box of 24 by 24, drawn with a stroke of the text's color.
export const icons = {
  add: 'M12 5v14M5 12h14',
  back: 'M15 5l-7 7 7 7',
  close: 'M6 6l12 12M18 6L6 18',
  compass: 'M12 3a9 9 0 100 18 9 9 0 000-18zM15.5 8.5l-2 5-5 2 2-5z',
  delete: 'M4 7h16M10 11v6M14 11v6M6 7l1 13h10l1-13M9 7V4h6v3',
  down: 'M12 5v14M6 13l6 6 6-6',
  edit: 'M4 20h4L19 9l-4-4L4 16zM13 7l4 4',
  hash: 'M9 4L7 20M17 4l-2 16M4 9h16M3.5 15h16',
  leave: 'M10 4H5v16h5M9 12h11M16 8l4 4-4 4',
  lock: 'M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 017 0v3',
  more: 'M5 12h.01M12 12h.01M19 12h.01',
  people:
    'M9 11a3.5 3.5 0 100-7 3.5 3.5 0 000 7zM2.5 20c.5-4 3-6 6.5-6s6 2 6.5 6' +
    'M16 4.5a3.5 3.5 0 010 6M18 14.5c2 .8 3.2 2.7 3.5 5.5',
  person: 'M12 11a4 4 0 100-8 4 4 0 000 8zM4 21c.6-4.5 3.5-7 8-7s7.4 2.5 8 7',
  pin: 'M9 4h6l-1 6 4 4H6l4-4zM12 14v6',
  react: 'M12 3a9 9 0 100 18 9 9 0 000-18zM8.5 14.500c1.7 2.3 5.3 2.3 7 0M9 9.500h.01M15 9.500h.01',
  reply: 'M10 6l-6 6 6 6M4 12h10c4 0 6 2.5 6 7',
  search: 'M11 4a7 7 0 100 14 7 7 0 000-14zM16 16l5 5',
  send: 'M4 12l16-8-5 17-4-7z',
  settings: 'M4 7h10M18 7h2M4 17h2M10 17h10M16 4.500v5M8 14.500v5',
} as const;

export type IconName = keyof typeof icons;
