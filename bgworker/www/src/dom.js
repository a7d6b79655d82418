// The few lines that a framework would be used for.

// h('button', { class: 'x', onclick: f }, 'text', child): attributes, handlers ("on…"), properties of form fields.
export function h(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
    else if (key === 'value' || key === 'srcObject' || key === 'muted') node[key] = value;
    else node.setAttribute(key, value === true ? '' : value);
  }
  node.append(...children.flat().filter((child) => child !== undefined && child !== null && child !== false));
  return node;
}

export function replace(parent, ...children) {
  parent.replaceChildren(...children.flat().filter((child) => child !== undefined && child !== null && child !== false));
}

// A button that is an icon to the eye and words to a screen reader.
export function iconButton(icon, label, onclick, props = {}) {
  return h('button', { type: 'button', class: 'icon', 'aria-label': label, title: label, onclick, ...props },
    h('span', { 'aria-hidden': 'true' }, icon));
}

export function announce(text) {
  document.getElementById('announce').textContent = text;
}

// A short message at the bottom of the window, for refusals and the like.
export function toast(text) {
  const node = h('div', { class: 'toast', role: 'alert' }, text);
  document.body.append(node);
  setTimeout(() => node.remove(), 5000);
}

// Asks with a native dialog: fields are inputs by name; resolves to their values, or null.
export function ask(title, fields, action = 'OK') {
  return new Promise((resolve) => {
    const inputs = Object.entries(fields).map(([name, field]) => [name, h('input', { ...field, name, autocomplete: 'off' })]);
    const form = h('form', { method: 'dialog' },
      h('h2', {}, title),
      inputs.map(([name, input]) => h('label', {}, fields[name].label, input)),
      h('div', { class: 'row end' },
        h('button', { type: 'button', onclick: () => dialog.close() }, 'Cancel'),
        h('button', { type: 'submit', class: 'primary' }, action)));
    const dialog = h('dialog', { 'aria-label': title }, form);
    let answer = null;
    form.addEventListener('submit', () => { answer = Object.fromEntries(inputs.map(([name, input]) => [name, input.value])); });
    dialog.addEventListener('close', () => { dialog.remove(); resolve(answer); });
    document.body.append(dialog);
    dialog.showModal();
  });
}

export function timeOf(iso) {
  return new Date(iso).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
}

export function dayOf(iso) {
  return new Date(iso).toLocaleDateString([], { weekday: 'long', day: 'numeric', month: 'long' });
}

export function initials(name) {
  return [...(name || '?').trim()].slice(0, 1).join('').toUpperCase();
}
