// The data of the page: JSON, and the columns that `render/page/columns.py` packed.

function readAbout() {
  return JSON.parse(byId("about").textContent);
}

/** Return the columns of a run, an array a name. */
async function readColumns(number, directory) {
  const element = byId(`columns-${number}`);
  const packed = decoded(element.textContent.trim());
  element.remove();
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const content = new Uint8Array(await new Response(stream).arrayBuffer());
  const columns = new Map();
  let place = 0;
  for (const [name, count, planes] of directory) {
    columns.set(name, unplaned(content, place, count, planes));
    place += count * planes;
  }
  return columns;
}

function decoded(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let place = 0; place < binary.length; place += 1) bytes[place] = binary.charCodeAt(place);
  return bytes;
}

/** Return numbers whose bytes stand plane by plane, the lowest first; those that may be rounded have their `lowest` bytes. */
function unplaned(content, place, count, planes) {
  const values = planes > 3 ? new Float64Array(count) : new Uint32Array(count);
  for (let plane = 0; plane < planes; plane += 1) {
    const size = 256 ** plane;
    const first = place + plane * count;
    for (let each = 0; each < count; each += 1) values[each] += content[first + each] * size;
  }
  if (planes > 3) values.lowest = content.subarray(place, place + count);
  return values;
}

/** Return the sums of numbers up to each. */
function summed(values) {
  const sums = new Float64Array(values.length);
  let sum = 0;
  for (let place = 0; place < values.length; place += 1) sums[place] = sum += values[place];
  return sums;
}

/** Return a number that was folded to be 0 or more; `lowest` is its lowest byte, which says the sign. */
function unfolded(value, lowest = value) {
  return lowest % 2 ? -(value + 1) / 2 : value / 2;
}

/** Return the sums of folded numbers up to each. */
function summedFolded(values) {
  const sums = new Float64Array(values.length);
  let sum = 0;
  for (let place = 0; place < values.length; place += 1) sums[place] = sum += unfolded(values[place], values.lowest?.[place]);
  return sums;
}

/** Return the place of the last number that is not greater than a value, in increasing numbers; -1 where there is none. */
function lastUpTo(numbers, value) {
  let low = 0;
  let high = numbers.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (numbers[middle] <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
