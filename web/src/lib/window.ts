// Which rows of a long table are on screen: only those are in the page. Pure.

export interface Slice {
  from: number;
  to: number;
  /** Heights in pixels of what is left out above and below. */
  above: number;
  below: number;
}

/** Fewer rows than this are all rendered; a browser bears them easily. */
const RENDER_ALL = 60;
const SPARE_ROWS = 8;

/**
 * The rows to render. `top` is how far the table's first row lies above the
 * top of the view (negative while it is below it), `view` the view's height.
 */
export function visibleRows(count: number, rowHeight: number, top: number, view: number): Slice {
  if (count <= RENDER_ALL) return { from: 0, to: count, above: 0, below: 0 };
  const first = Math.floor(top / rowHeight) - SPARE_ROWS;
  const shown = Math.ceil(view / rowHeight) + 2 * SPARE_ROWS;
  const from = Math.max(0, Math.min(first, count - shown));
  const to = Math.min(count, from + shown);
  return { from, to, above: from * rowHeight, below: (count - to) * rowHeight };
}
