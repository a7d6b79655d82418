// The icons of the buttons, drawn as strokes in a box of 24 by 24, so that they look alike whatever fonts there are.
const SVG = 'http://www.w3.org/2000/svg';

const MICROPHONE = 'M12 2a3 3 0 0 1 3 3v6a3 3 0 0 1-6 0V5a3 3 0 0 1 3-3zM5 11a7 7 0 0 0 14 0M12 18v4M8 22h8';
const CAMERA = 'M4 6h10a2 2 0 0 1 2 2v8a2 2 0 0 1-2 2H4a2 2 0 0 1-2-2V8a2 2 0 0 1 2-2zM16 11l6-4v10l-6-4';
const SHAPES = {
  microphone: MICROPHONE,
  camera: CAMERA,
  people:
    'M9 11a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM1 21v-2a5 5 0 0 1 5-5h6a5 5 0 0 1 5 5v2M16 3a4 4 0 0 1 0 8M19 14a5 5 0 0 1 4 5v2',
  screen: 'M3 4h18a1 1 0 0 1 1 1v11a1 1 0 0 1-1 1H3a1 1 0 0 1-1-1V5a1 1 0 0 1 1-1zM8 21h8M12 17v4',
  hand: 'M7 14V6a1.5 1.5 0 0 1 3 0v5V4a1.5 1.5 0 0 1 3 0v7V5a1.5 1.5 0 0 1 3 0v7V8a1.5 1.5 0 0 1 3 0v7a7 7 0 0 1-7 7c-3 0-4.5-1.5-6-4l-2.5-4.5A1.5 1.5 0 0 1 5 12.5L7 15',
  talk: 'M4 4h16a2 2 0 0 1 2 2v9a2 2 0 0 1-2 2H9l-5 4v-4a2 2 0 0 1-2-2V6a2 2 0 0 1 2-2z',
  lock: 'M6 11h12a1 1 0 0 1 1 1v8a1 1 0 0 1-1 1H6a1 1 0 0 1-1-1v-8a1 1 0 0 1 1-1zM8 11V7a4 4 0 0 1 8 0v4',
  link: 'M10 14a4 4 0 0 0 6 0l4-4a4 4 0 0 0-6-6l-1 1M14 10a4 4 0 0 0-6 0l-4 4a4 4 0 0 0 6 6l1-1',
  smile: 'M12 2a10 10 0 1 0 0 20 10 10 0 0 0 0-20zM8 14a5 5 0 0 0 8 0M9 9h.01M15 9h.01',
  reply: 'M9 6L3 12l6 6M3 12h11a6 6 0 0 1 6 6v1',
  edit: 'M4 20h4L19 9l-4-4L4 16v4zM13 7l4 4',
  trash: 'M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13M10 11v6M14 11v6',
  close: 'M6 6l12 12M18 6L6 18',
  out: 'M9 4H5a1 1 0 0 0-1 1v14a1 1 0 0 0 1 1h4M15 8l4 4-4 4M19 12H9',
  send: 'M4 12l16-8-6 16-3-6-7-2zM11 14l9-10',
  down: 'M12 5v14M6 13l6 6 6-6',
  plus: 'M12 5v14M5 12h14',
  mail: 'M4 6h16v12H4zM4 7l8 6 8-6',
  search: 'M11 4a7 7 0 1 0 0 14a7 7 0 0 0 0-14M16 16l4 4',
  keys: 'M3 6h18v12H3zM7 10h.01M11 10h.01M15 10h.01M7 14h.01M17 14h.01M10 14h4',
  view: 'M3 4h18v11H3zM4 19h4M10 19h4M16 19h4',
  pin: 'M9 3h6l-1 6 3 3v2H7v-2l3-3zM12 14v7',
  enlarge: 'M14 4h6v6M20 4l-7 7M10 20H4v-6M4 20l7-7',
  leave: 'M3 14c5-5 13-5 18 0l-2 3-4-2v-3c-2-.7-4-.7-6 0v3l-4 2-2-3z',
  devices: 'M4 6h10M18 6h2M4 12h2M10 12h10M4 18h10M18 18h2M14 4v4M8 10v4M16 16v4',
  more: 'M4 12a1 1 0 1 0 2 0 1 1 0 0 0-2 0M11 12a1 1 0 1 0 2 0 1 1 0 0 0-2 0M18 12a1 1 0 1 0 2 0 1 1 0 0 0-2 0',
  bell: 'M6 16V11a6 6 0 0 1 12 0v5l2 2H4zM10 21h4',
  silent: 'M6 16V11a6 6 0 0 1 9-5.2M18 12v4l2 2H8M10 21h4M3 3l18 18',
  archive: 'M3 5h18v4H3zM5 9v10h14V9M10 13h4',
  block: 'M12 3a9 9 0 1 0 0 18a9 9 0 0 0 0-18M6 6l12 12',
  unread: 'M21 11v7H3V6h11M3 7l9 6 3-2M19 3a2 2 0 1 0 0 4a2 2 0 0 0 0-4',
  gear: 'M12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM12 2v3M12 19v3M2 12h3M19 12h3M4.9 4.9l2.1 2.1M17 17l2.1 2.1M4.9 19.1L7 17M17 7l2.1-2.1',
  chart: 'M4 20V10M10 20V4M16 20v-7M22 20H2',
};
const SLASH = 'M3 3l18 18';

function path(d, className) {
  const node = document.createElementNS(SVG, 'path');
  node.setAttribute('d', d);
  if (className) node.setAttribute('class', className);
  return node;
}

function draw(name) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('class', 'drawn');
  svg.setAttribute('aria-hidden', 'true');
  svg.append(path(SHAPES[name]));
  if (name === 'microphone' || name === 'camera') svg.append(path(SLASH, 'slash'));
  return svg;
}

const drawn = new Map(); // by name: each message has several, and a copy costs less than making one

// An icon by its name, or null.  The slash of a device's icon shows while its button is not pressed.
export function icon(name) {
  if (!SHAPES[name]) return null;
  if (!drawn.has(name)) drawn.set(name, draw(name));
  return drawn.get(name).cloneNode(true);
}
