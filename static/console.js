// Theme, dialogs, copying, keys. Every page works without it; this file only makes things quicker.
'use strict';

const find = (selector, root = document) => root.querySelector(selector);
const findAll = (selector, root = document) => [...root.querySelectorAll(selector)];

document.documentElement.classList.add('script');

// Theme: system, dark, light in turn. In a cookie, so that the server draws it and nothing flashes.
function nextTheme() {
  const html = document.documentElement;
  const next = {'': 'dark', dark: 'light', light: ''}[html.dataset.theme || ''];
  if (next) html.dataset.theme = next; else delete html.dataset.theme;
  document.cookie = `theme=${next}; path=/; SameSite=Lax; max-age=${next ? 31536000 : 0}`;
}
find('#theme').addEventListener('click', nextTheme);

// Choices that take effect at once; without script there is a button beside them.
document.addEventListener('change', event => {
  if (event.target.matches('[data-autosubmit]')) event.target.form.requestSubmit();
});

// A page that takes its time: what is there stays, with a thin bar above it. A download leaves the page where it is.
let slow = 0;
window.addEventListener('beforeunload', () => {
  clearTimeout(slow);
  slow = setTimeout(() => {
    document.documentElement.classList.add('loading');
    slow = setTimeout(arrived, 15000);
  }, 400);
});
function arrived() {
  clearTimeout(slow);
  document.documentElement.classList.remove('loading');
}
window.addEventListener('pageshow', arrived);

// A verb's link leads to a page that asks for a reason; with script a dialog asks instead.
const confirmDialog = find('#confirm');
function askReason(link) {
  const form = find('form', confirmDialog);
  form.action = link.href;
  form.elements.tenant.value = link.dataset.tenant;
  find('#confirm-title').textContent = link.dataset.confirm;
  find('#confirm-body').textContent = link.dataset.body;
  const go = find('#confirm-go');
  go.textContent = link.dataset.go;
  go.className = link.dataset.css;
  go.disabled = false;
  confirmDialog.showModal();
  find('#confirm-reason').focus();
}
find('form', confirmDialog).addEventListener('submit', () => { find('#confirm-go').disabled = true; });
window.addEventListener('pageshow', () => { find('#confirm-go').disabled = false; });

async function copy(button) {
  const text = document.getElementById(button.dataset.copy).textContent;
  try {
    await navigator.clipboard.writeText(text);
  } catch {  // plain http from another machine has no clipboard: select the text, so that Ctrl-C works
    const range = document.createRange();
    range.selectNodeContents(document.getElementById(button.dataset.copy));
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    button.textContent = 'Selected';
    return;
  }
  button.textContent = 'Copied';
}

document.addEventListener('click', event => {
  const verb = event.target.closest('a[data-confirm]');
  if (verb && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    askReason(verb);
  }
  const copier = event.target.closest('[data-copy]');
  if (copier) copy(copier);
  if (event.target.matches('[data-close]')) event.target.closest('dialog').close();
});

// Keys: none fires while something is typed or a dialog is open.
let lastG = 0;
const places = {o: '/admin/', q: '/admin/queues/', j: '/admin/jobs/', d: '/admin/dead/', b: '/admin/bulk/', r: '/admin/recompute/', a: '/admin/allocations/'};
function go(path) {
  const link = findAll('.side a').find(one => new URL(one.href).pathname === path);
  if (link) location.href = link.href;
}
document.addEventListener('keydown', event => {
  const typing = event.target.matches('input, select, textarea');
  if (typing || event.ctrlKey || event.metaKey || event.altKey || find('dialog[open]')) return;
  const wasG = Date.now() - lastG < 1200;
  lastG = 0;
  if (wasG && places[event.key]) go(places[event.key]);
  else if (event.key === 'g') lastG = Date.now();
  else if (event.key === '/') {
    event.preventDefault();
    find('#search').focus();
  } else if (event.key === 't') nextTheme();
  else if (event.key === 'r') find('#live').click();
  else if (event.key === '?') find('#keys').showModal();
});
