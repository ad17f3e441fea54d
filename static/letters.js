// The list of dead letters: ticking rows, a whole page, or all that match. Without script there are plain boxes.
'use strict';

const form = find('#picked');
const boxes = () => findAll('input[name="letter"]');

function count() {
  const all = boxes();
  const ticked = all.filter(box => box.checked).length;
  const everything = find('#pick-everything');
  const offer = find('#pick-all');
  const wholePage = ticked > 0 && ticked === all.length;
  if (!wholePage) everything.checked = false;
  offer.hidden = !wholePage || everything.checked || offer.dataset.more !== '1';
  find('#pick-page').checked = wholePage;
  find('#pick-page').indeterminate = ticked > 0 && !wholePage;
  find('#pick-count').textContent = everything.checked
    ? `All ${offer.dataset.match} that match are selected`
    : ticked ? `${ticked} selected` : '';
  for (const button of findAll('[data-needs-pick]', form)) button.disabled = !ticked;
}

let last = null;
if (form) {
  document.addEventListener('click', event => {
    if (event.target.matches('input[name="letter"]')) {
      const all = boxes();
      const [from, to] = [all.indexOf(last), all.indexOf(event.target)];
      if (event.shiftKey && from >= 0) {
        for (const box of all.slice(Math.min(from, to), Math.max(from, to) + 1)) box.checked = event.target.checked;
      }
      last = event.target;
    }
    if (event.target.closest('#pick-all')) {
      find('#pick-everything').checked = true;
      count();
      find('[data-needs-pick]', form)?.focus();
    }
  });
  document.addEventListener('change', event => {
    if (event.target.id === 'pick-page') for (const box of boxes()) box.checked = event.target.checked;
    if (event.target.id === 'pick-page' || event.target.name === 'letter') count();
  });
  window.addEventListener('pageshow', count);
  count();
}
