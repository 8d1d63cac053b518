  // Arrays of the document, and the few operations that networks are made of. Sums are in double precision.

  function bytesOf(text) {
    const binary = atob(text);
    const bytes = new Uint8Array(binary.length);
    for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
    return bytes;
  }

  function halfToNumber(half) {
    const sign = half & 0x8000 ? -1 : 1;
    const exponent = (half >> 10) & 31;
    const fraction = half & 1023;
    if (exponent === 0) return sign * fraction * 2 ** -24;
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }

  const TYPES = { f4: Float32Array, f8: Float64Array, u1: Uint8Array, u2: Uint16Array };

  // The numbers of an array of the document, row after row. Weights all have one type, so that `multiply` is compiled
  // for it alone.
  function numbersOf(entry) {
    const bytes = bytesOf(entry.data);
    if (entry.type === "f2") return Float64Array.from(new Uint16Array(bytes.buffer), halfToNumber);
    const numbers = new TYPES[entry.type](bytes.buffer);
    return entry.type === "f4" ? Float64Array.from(numbers) : numbers;
  }

  // matrix (rows x columns) times vector, plus bias; four sums at a time keep the processor busy.
  function multiply(matrix, vector, bias, rows, columns = vector.length) {
    const out = new Float64Array(rows);
    const end = columns - (columns % 4);
    for (let row = 0, at = 0; row < rows; row++) {
      let a = 0, b = 0, c = 0, d = 0, column = 0;
      for (; column < end; column += 4, at += 4) {
        a += matrix[at] * vector[column];
        b += matrix[at + 1] * vector[column + 1];
        c += matrix[at + 2] * vector[column + 2];
        d += matrix[at + 3] * vector[column + 3];
      }
      for (; column < columns; column++, at++) a += matrix[at] * vector[column];
      out[row] = a + b + (c + d) + (bias ? bias[row] : 0);
    }
    return out;
  }

  const sigmoid = (x) => 1 / (1 + Math.exp(-x));

  // The error function to 1.5e-7 (Abramowitz and Stegun 7.1.26).
  function erf(x) {
    const t = 1 / (1 + 0.3275911 * Math.abs(x));
    const series = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
    const y = 1 - series * Math.exp(-x * x);
    return x < 0 ? -y : y;
  }

  const gelu = (x) => 0.5 * x * (1 + erf(x / Math.SQRT2));

  function softmax(values) {
    const most = Math.max(...values);
    const powers = values.map((value) => Math.exp(value - most));
    const total = powers.reduce((sum, power) => sum + power, 0);
    return powers.map((power) => power / total);
  }

  function largest(values) {
    let best = 0;
    for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
    return best;
  }

  const minus = (a, b) => a.map((x, i) => x - b[i]);
  const plus = (a, b) => a.map((x, i) => x + b[i]);
