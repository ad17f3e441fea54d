// Charts are drawn by the server; this reads out their values under the pointer and with the arrow keys.
'use strict';

function bindChart(plot) {
  const chart = JSON.parse(plot.dataset.chart);
  const times = chart.times.split(',');
  const svg = plot.querySelector('svg');
  const tip = plot.querySelector('.tip');
  const cursor = plot.querySelector('.cursor');
  const {width, height} = svg.viewBox.baseVal;
  const count = times.length;
  let place = count - 1;

  function show(wanted) {
    place = Math.max(0, Math.min(count - 1, wanted));
    const part = (place + 0.5) / count;
    cursor.setAttribute('d', `M${part * width} 0V${height}`);
    const lines = chart.names.map((name, i) => `${name}  ${chart.values[i][place] ?? '–'}`);
    tip.textContent = [times[place] + ' UTC', ...lines].join('\n');
    tip.hidden = false;
    const box = svg.getBoundingClientRect();
    const left = box.left - plot.getBoundingClientRect().left + part * box.width;
    tip.style.left = `${part > 0.6 ? left - tip.offsetWidth - 8 : left + 8}px`;
  }
  function hide() {
    tip.hidden = true;
    cursor.setAttribute('d', '');
  }

  plot.addEventListener('pointermove', event => {
    const box = svg.getBoundingClientRect();
    show(Math.floor((event.clientX - box.left) / box.width * count));
  });
  plot.addEventListener('pointerleave', hide);
  plot.addEventListener('focus', () => show(place));
  plot.addEventListener('blur', hide);
  plot.addEventListener('keydown', event => {
    const step = {ArrowLeft: -1, ArrowRight: 1, PageUp: -8, PageDown: 8, Home: -count, End: count}[event.key];
    if (step) {
      event.preventDefault();
      show(place + step);
    }
  });
}

function bindCharts() {
  for (const plot of document.querySelectorAll('.plot:not([data-bound])')) {
    plot.dataset.bound = '1';
    bindChart(plot);
  }
}
bindCharts();
