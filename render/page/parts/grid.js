// The grid: a cell an agent, or a cell for several where there are more agents than pixels.
//
// Rules:
//
// 1. The place of an agent depends on the fleets and the size of the canvas, never on what happens. Agents go from left to
//    right, row by row; those that were spawned stand after all others, like a fleet.
// 2. All fleets have cells of one size, the largest with which everybody gets a cell.
// 3. Cells are drawn as an image of one pixel each, and enlarged: a hundred thousand cost no more than a picture.

const CELL_MAX = 140;
const STRIPES_FROM = 7;
const GAP_FROM = 4;
const GAP_MAX = 6;
const MARK_FROM = 5;
const LABEL = 18;
const MARGIN = 3;
const BETWEEN = 10;

/** Return the fleets as the grid has them: [{name, first, count}]. */
function groupsOf(film) {
  const groups = film.entry.fleets.filter(([, , count]) => count).map(([name, first, count]) => ({ name: clean(name), first, count }));
  const spawned = film.agents - film.entry.listed;
  return spawned ? [...groups, { name: clean(film.entry.spawned), first: film.entry.listed, count: spawned }] : groups;
}

/** Return the space between cells of a size. */
function gapOf(pitch) {
  return pitch < GAP_FROM ? 0 : Math.max(1, Math.min(GAP_MAX, Math.round(pitch / 8)));
}

/** Place groups into a picture, with a margin; sizes are in pixels of the screen, `scale` of them to one of the page. */
function placed(groups, width, height, scale, beside) {
  const margin = Math.round(MARGIN * scale);
  const plan = fitted(groups, width - 2 * margin, height - 2 * margin, scale, beside);
  for (const each of plan.blocks) {
    each.x += margin;
    each.y += margin;
  }
  return plan;
}

function fitted(groups, width, height, scale, beside) {
  const roomForNames = groups.length > 1 && groups.length * (LABEL + BETWEEN) * scale < height / 2;
  const roomBeside = groups.length > 1 && groups.length * 5 * LABEL * scale < width;
  const place = beside && roomBeside ? placedBeside : placedBelow;
  const shown = roomForNames || place === placedBeside ? groups : [{ name: null, first: 0, count: total(groups) }];
  for (let pitch = CELL_MAX * scale; pitch >= 1; pitch -= 1) {
    const blocks = place(shown, width, height, Math.floor(pitch), scale, 1);
    if (blocks) return { pitch: Math.floor(pitch), perCell: 1, blocks };
  }
  for (let perCell = 2; ; perCell = Math.ceil(perCell * 1.25)) {
    const blocks = place(shown, width, height, 1, scale, perCell);
    if (blocks) return { pitch: 1, perCell, blocks };
  }
}

/** Place groups one below the other; null where there is no room for cells of this size. */
function placedBelow(groups, width, height, pitch, scale, perCell) {
  const columns = Math.max(1, Math.floor(width / pitch));
  const blocks = [];
  let y = 0;
  for (const group of groups) {
    if (group.name !== null) y += Math.round((blocks.length ? LABEL + BETWEEN : LABEL) * scale);
    blocks.push(block(group, 0, y, columns, perCell));
    y += blocks.at(-1).rows * pitch;
  }
  return y <= height || (perCell > total(groups) && pitch === 1) ? blocks : null;
}

/** Place groups beside each other, each as wide as it has agents. */
function placedBeside(groups, width, height, pitch, scale, perCell) {
  const between = Math.round(BETWEEN * scale);
  const room = width - between * (groups.length - 1);
  const least = 5 * LABEL * scale;
  const shared = room - least * groups.length;
  const blocks = [];
  let x = 0;
  for (const group of groups) {
    const own = least + (shared * group.count) / total(groups);
    blocks.push(block(group, Math.round(x), Math.round(LABEL * scale), Math.max(1, Math.floor(own / pitch)), perCell));
    x += own + between;
  }
  const fits = blocks.every(({ y, rows }) => y + rows * pitch <= height);
  return fits || (perCell > total(groups) && pitch === 1) ? blocks : null;
}

function total(groups) {
  return groups.reduce((sum, { count }) => sum + count, 0);
}

function block({ name, first, count }, x, y, most, perCell) {
  const cells = Math.ceil(count / perCell);
  const columns = Math.min(most, Math.max(1, cells));
  return { name, first, count, x, y, cells, columns, rows: Math.ceil(cells / columns) };
}

class Grid {
  constructor(film, canvas) {
    this.film = film;
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
    this.layer = make("canvas").getContext("2d");
    this.categories = new Uint16Array(film.agents);
    this.beside = false;
  }

  /** Take the size of the page as it is now. */
  resize() {
    this.scale = window.devicePixelRatio || 1;
    const { width, height } = this.canvas.getBoundingClientRect();
    for (const canvas of [this.canvas, this.layer.canvas]) {
      canvas.width = Math.max(1, Math.round(width * this.scale));
      canvas.height = Math.max(1, Math.round(height * this.scale));
    }
    this.plan = placed(groupsOf(this.film), this.canvas.width, this.canvas.height, this.scale, this.beside);
    for (const each of this.plan.blocks) {
      each.image = new ImageData(each.columns, Math.max(1, each.rows));
      each.pixels = new Uint32Array(each.image.data.buffer);
      each.small = make("canvas", { width: each.columns, height: Math.max(1, each.rows) }).getContext("2d");
    }
  }

  /** Draw the moment that the film shows: the agents in `differs` marked, the one that is `selected` outlined. */
  draw(shades, ns, { differs = null, selected = -1, ink }) {
    const { context, plan } = this;
    shades.of(this.categories, ns);
    context.fillStyle = shades.palette.background;
    context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    context.imageSmoothingEnabled = false;
    const dims = differs && plan.pitch < MARK_FROM * this.scale ? dimmed(shades) : null;
    for (const each of plan.blocks) {
      if (plan.perCell === 1) this._fill(each, shades.pixels, dims, differs);
      else this._blend(each, shades);
      this._put(context, each);
      if (plan.pitch >= GAP_FROM) this._gaps(each, shades.palette.background);
      if (each.name !== null) this._label(each, ink);
    }
    if (shades.striped && plan.pitch >= STRIPES_FROM * this.scale) this._pattern((agent) => this.film.phase(agent) === BLOCKED, stripes(plan.pitch, shades.palette.stripe));
    if (differs && !dims) this._pattern((agent) => differs[agent], dot(plan.pitch, shades.palette));
    if (selected >= 0) this._outline(selected, ink);
  }

  _fill({ first, count, pixels }, colors, dims, differs) {
    const { categories } = this;
    for (let cell = 0; cell < count; cell += 1) {
      const agent = first + cell;
      pixels[cell] = (dims && !differs[agent] ? dims : colors)[categories[agent]];
    }
  }

  /** Fill cells of several agents with the mean of their colours: light is near enough to the square of a value. */
  _blend({ first, count, cells, pixels }, shades) {
    const { perCell } = this.plan;
    for (let cell = 0; cell < cells; cell += 1) {
      const stop = Math.min(count, (cell + 1) * perCell);
      let red = 0, green = 0, blue = 0;
      for (let place = cell * perCell; place < stop; place += 1) {
        const color = shades.pixels[this.categories[first + place]];
        red += (color & 255) ** 2;
        green += ((color >> 8) & 255) ** 2;
        blue += ((color >> 16) & 255) ** 2;
      }
      const agents = stop - cell * perCell;
      pixels[cell] = (0xff000000 | (Math.sqrt(blue / agents) << 16) | (Math.sqrt(green / agents) << 8) | Math.sqrt(red / agents)) >>> 0;
    }
  }

  _put(context, { image, small, x, y, columns, rows }) {
    const { pitch } = this.plan;
    small.putImageData(image, 0, 0);
    context.drawImage(small.canvas, x, y, columns * pitch, rows * pitch);
  }

  _gaps({ x, y, columns, rows }, color) {
    const { pitch } = this.plan;
    const gap = gapOf(pitch);
    this.context.fillStyle = color;
    for (let column = 1; column <= columns; column += 1) this.context.fillRect(x + column * pitch - gap, y, gap, rows * pitch);
    for (let row = 1; row <= rows; row += 1) this.context.fillRect(x, y + row * pitch - gap, columns * pitch, gap);
  }

  _label({ name, x, y, columns, count }, ink) {
    const { context, scale } = this;
    context.font = `${12 * scale}px system-ui, sans-serif`;
    context.fillStyle = ink;
    context.textBaseline = "bottom";
    const text = `${name}  ${whole(count)}`;
    context.fillText(text, x, y - 3 * scale, Math.max(5 * LABEL * scale, columns * this.plan.pitch));
  }

  /** Fill the cells of some agents with a pattern: they are painted into a layer, and the pattern put in their place. */
  _pattern(has, tile) {
    const { layer, plan } = this;
    layer.clearRect(0, 0, this.canvas.width, this.canvas.height);
    layer.imageSmoothingEnabled = false;
    for (const each of plan.blocks) {
      for (let cell = 0; cell < each.count; cell += 1) each.pixels[cell] = has(each.first + cell) ? 0xff000000 : 0;
      this._put(layer, each);
    }
    layer.globalCompositeOperation = "source-in";
    layer.fillStyle = layer.createPattern(tile, "repeat");
    for (const { x, y, columns, rows } of plan.blocks) {
      layer.save();
      layer.beginPath();
      layer.rect(x, y, columns * plan.pitch, rows * plan.pitch);
      layer.clip();
      layer.translate(x, y);
      layer.fillRect(0, 0, columns * plan.pitch, rows * plan.pitch);
      layer.restore();
    }
    layer.globalCompositeOperation = "source-over";
    this.context.drawImage(layer.canvas, 0, 0);
  }

  _outline(agent, ink) {
    const cell = this.cellOf(agent);
    if (!cell) return;
    const width = Math.max(2, Math.round(2 * this.scale));
    const { pitch } = this.plan;
    const size = pitch - gapOf(pitch) + width;
    this.context.lineWidth = width;
    this.context.strokeStyle = ink;
    this.context.strokeRect(cell.x - width / 2, cell.y - width / 2, size, size);
    if (pitch >= MARK_FROM * this.scale) return;
    this.context.beginPath();
    this.context.arc(cell.x + pitch / 2, cell.y + pitch / 2, 7 * this.scale, 0, 2 * Math.PI);
    this.context.stroke();
  }

  /** Return where the cell of an agent is, in pixels of the screen. */
  cellOf(agent) {
    const { pitch, perCell, blocks } = this.plan;
    const home = blocks.find(({ first, count }) => agent >= first && agent < first + count);
    if (!home) return null;
    const cell = Math.floor((agent - home.first) / perCell);
    return { x: home.x + (cell % home.columns) * pitch, y: home.y + Math.floor(cell / home.columns) * pitch };
  }

  /** Return the agent one cell to the right, or one row below; backwards where it is -1. The same where there is none. */
  neighbour(agent, right, below) {
    const { perCell, blocks } = this.plan;
    const number = blocks.findIndex(({ first, count }) => agent >= first && agent < first + count);
    if (number < 0) return agent;
    const { first, count, columns, cells } = blocks[number];
    const cell = Math.floor((agent - first) / perCell);
    const next = cell + right + below * columns;
    if (next >= 0 && next < cells) return right || below ? first + next * perCell : agent;
    if (right) return Math.min(this.film.agents - 1, Math.max(0, right < 0 ? first - 1 : first + count));
    const other = blocks[number + below];
    if (!other || other.x !== blocks[number].x) return agent;
    const column = cell % columns;
    const place = below > 0 ? column : (other.rows - 1) * other.columns + column;
    return other.first + Math.min(place, other.cells - 1) * perCell;
  }

  /** Return the agent under a pointer, the first of them where a cell has several; -1 where there is none. */
  agentAt(event) {
    const { left, top } = this.canvas.getBoundingClientRect();
    const { pitch, perCell, blocks } = this.plan;
    for (const { first, count, x, y, columns, rows } of blocks) {
      const column = Math.floor(((event.clientX - left) * this.scale - x) / pitch);
      const row = Math.floor(((event.clientY - top) * this.scale - y) / pitch);
      if (column < 0 || row < 0 || column >= columns || row >= rows) continue;
      const place = (row * columns + column) * perCell;
      if (place < count) return first + place;
    }
    return -1;
  }
}

/** Return the colours of cells that are the same in both runs, where marks would be too small. */
function dimmed(shades) {
  const back = pixel(shades.palette.background);
  const mixed = (color, shift) => Math.round(((color >> shift) & 255) * 0.25 + ((back >> shift) & 255) * 0.75) << shift;
  return shades.pixels.map((color) => (0xff000000 | mixed(color, 16) | mixed(color, 8) | mixed(color, 0)) >>> 0);
}

function tileOf(pitch) {
  const context = make("canvas", { width: pitch, height: pitch }).getContext("2d");
  return context;
}

/** Return a tile of diagonal stripes. */
function stripes(pitch, color) {
  const context = tileOf(pitch);
  const inner = pitch - gapOf(pitch);
  context.beginPath();
  context.rect(0, 0, inner, inner);
  context.clip();
  context.beginPath();
  context.strokeStyle = color;
  context.lineWidth = Math.max(1.2, Math.min(5, pitch / 7));
  for (let shift = -pitch; shift <= pitch; shift += Math.max(5, Math.min(18, pitch / 2))) {
    context.moveTo(shift, pitch);
    context.lineTo(shift + pitch, 0);
  }
  context.stroke();
  return context.canvas;
}

/** Return a tile with a dot in the middle, which marks who differs. */
function dot(pitch, palette) {
  const context = tileOf(pitch);
  const inner = pitch - gapOf(pitch);
  const radius = Math.max(1.2, inner / 4.2);
  for (const [size, color] of [[radius + Math.max(0.8, inner / 12), palette.background], [radius, palette.mark]]) {
    context.fillStyle = color;
    context.beginPath();
    context.arc(inner / 2, inner / 2, size, 0, 2 * Math.PI);
    context.fill();
  }
  return context.canvas;
}
