// Live updates: the same page is fetched every 5 s, and only regions that changed and that nobody uses are replaced.
'use strict';

const EVERY_MS = 1000 * Number(document.body.dataset.refresh) || 5000;  // chosen under Account
const SLOWEST_MS = 60000;
let live = localStorage.getItem('live') !== 'off' && document.body.dataset.refresh !== '0';
let failures = 0;
let timer;

function inUse(region) {
  if (region.contains(document.activeElement) && document.activeElement !== document.body) return true;
  if (region.querySelector('details[open][data-keep], :checked:not(option)')) return true;
  if (region.querySelector('.tip:not([hidden])')) return true;
  const selection = getSelection();
  return !selection.isCollapsed && region.contains(selection.anchorNode);
}

// data-bound is ours, the server's copy lacks it: compare as if it were not there.
function same(old, fresh) {
  const bare = old.cloneNode(true);
  for (const plot of bare.querySelectorAll('[data-bound]')) plot.removeAttribute('data-bound');
  return bare.isEqualNode(fresh);
}

function paint() {
  find('#live-text').textContent = failures ? 'Offline, retrying' : live ? 'Live' : 'Paused';
  find('#live').setAttribute('aria-pressed', String(live));
  document.body.classList.toggle('stale', failures > 0);
}

async function refresh() {
  const response = await fetch(location.href, {
    headers: {'X-Live': '1'},
    cache: 'no-store',
    signal: AbortSignal.timeout(8000),
  });
  if (response.status === 401) {
    location.reload();  // signed out: the server leads to the sign-in and back here
    return;
  }
  if (!response.ok) throw new Error(String(response.status));
  const page = new DOMParser().parseFromString(await response.text(), 'text/html');
  for (const fresh of page.querySelectorAll('[data-live][id]')) {
    const old = document.getElementById(fresh.id);
    if (old && !inUse(old) && !same(old, fresh)) old.replaceWith(document.adoptNode(fresh));
  }
  if (typeof bindCharts === 'function') bindCharts();  // pages without charts do without that script
}

async function tick() {
  clearTimeout(timer);
  if (live && !document.hidden && !find('dialog[open]')) {
    try {
      await refresh();
      failures = 0;
    } catch {
      failures += 1;
    }
    paint();
  }
  const pause = Math.min(EVERY_MS * 2 ** failures, SLOWEST_MS);
  clearTimeout(timer);
  timer = setTimeout(tick, pause * (0.9 + Math.random() * 0.2));
}

find('#live').addEventListener('click', () => {
  live = !live;
  localStorage.setItem('live', live ? 'on' : 'off');
  if (!live) failures = 0;
  paint();
  if (live) tick();
});
document.addEventListener('visibilitychange', () => { if (!document.hidden) tick(); });
window.addEventListener('online', tick);
timer = setTimeout(tick, EVERY_MS);
paint();
