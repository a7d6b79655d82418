// A small chart of one figure over time; all charts of the page point at the same moment.
import uPlot from 'uplot';
import { h } from './dom.js';

const HEIGHT_PX = 84;
const SHOWN_S = 180;

// format(value) gives the words of the axis; least is what the axis reaches at least; onPoint(index) is called with the
// sample that is pointed at, or null.  Result: { node, draw(times, values), close() }, times in seconds.
export function chart({ format, least, onPoint }) {
  const node = h('div', { class: 'chart', 'aria-hidden': 'true' });
  const colour = (name) => () => getComputedStyle(node).getPropertyValue(name);
  const axis = {
    size: 46,
    gap: 4,
    space: 26,
    font: '11px system-ui, sans-serif',
    stroke: colour('--soft'),
    grid: { stroke: colour('--line'), width: 1 },
    ticks: { show: false },
    values: (_, splits) => splits.map(format),
  };
  const plot = new uPlot(
    {
      width: 100,
      height: HEIGHT_PX,
      padding: [8, 4, 6, 0],
      legend: { show: false },
      cursor: { sync: { key: 'figures' }, y: false, drag: { x: false, y: false }, points: { size: 6 } },
      scales: {
        x: { range: (_, first, last) => [last - SHOWN_S, last] },
        y: { range: (_, low, high) => [0, Math.max(least, high * 1.15)] },
      },
      axes: [{ show: false }, axis],
      series: [{}, { stroke: colour('--main'), fill: colour('--own'), width: 1.5, points: { show: false } }],
      hooks: { setCursor: [({ cursor }) => onPoint(cursor.idx ?? null)] },
    },
    [[], []],
    node,
  );
  const sizes = new ResizeObserver(() => plot.setSize({ width: node.clientWidth, height: HEIGHT_PX }));
  sizes.observe(node);
  const night = matchMedia('(prefers-color-scheme: dark)');
  const repaint = () => plot.redraw();
  night.addEventListener('change', repaint);
  return {
    node,
    draw: (times, values) => plot.setData([times, values]),
    close() {
      sizes.disconnect();
      night.removeEventListener('change', repaint);
      plot.destroy();
    },
  };
}
