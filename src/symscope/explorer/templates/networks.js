  // Networks: `begin` gives the run before the first token, `read` the run after one more. Runs are never changed, so
  // every prefix of a sequence is computed once and continued many times. `rewrite` replaces the state at a site.

  function makeNetwork(data) {
    const weights = Object.fromEntries(Object.entries(data.weights).map(([name, entry]) => [name, numbersOf(entry)]));
    const output = makeOutput(data, weights);
    return data.kind === "transformer" ? makeTransformer(data, weights, output) : makeRecurrent(data, weights, output);
  }

  function makeOutput(data, weights) {
    const part = (name) => weights[`output.${name}`];
    if (data.readout === "linear") return (x) => multiply(part("weight"), x, part("bias"), data.vocabulary);
    return (x) => {
      const hidden = multiply(part("hidden_weight"), x, part("hidden_bias"), data.hidden).map(gelu);
      return multiply(part("output_weight"), hidden, part("output_bias"), data.vocabulary);
    };
  }

  // The input of each token to a step, as the torch cells have it.
  function tokenInputs(data, weights, rows) {
    const embedding = weights["cell.embedding"];
    const width = embedding.length / data.vocabulary;
    return Array.from({ length: data.vocabulary }, (_, token) =>
      multiply(
        weights["cell.input_weight"],
        embedding.subarray(token * width, (token + 1) * width),
        weights["cell.input_bias"],
        rows,
      ),
    );
  }

  function gruStep(data, weights) {
    const d = data.width;
    const inputs = tokenInputs(data, weights, 3 * d);
    return (h, token) => {
      const recurrent = multiply(weights["cell.state_weight"], h, weights["cell.state_bias"], 3 * d);
      const input = inputs[token];
      return h.map((before, i) => {
        const reset = sigmoid(input[i] + recurrent[i]);
        const update = sigmoid(input[d + i] + recurrent[d + i]);
        const fresh = Math.tanh(input[2 * d + i] + reset * recurrent[2 * d + i]);
        return fresh + update * (before - fresh);
      });
    };
  }

  function lstmStep(data, weights) {
    const n = data.width / 2;
    const inputs = tokenInputs(data, weights, 4 * n);
    return (state, token) => {
      const gates = multiply(weights["cell.state_weight"], state.subarray(0, n), weights["cell.state_bias"], 4 * n);
      const input = inputs[token];
      const after = new Float64Array(2 * n);
      for (let i = 0; i < n; i++) {
        const gate = (which) => input[which * n + i] + gates[which * n + i];
        const memory = sigmoid(gate(1)) * state[n + i] + sigmoid(gate(0)) * Math.tanh(gate(2));
        after[i] = sigmoid(gate(3)) * Math.tanh(memory);
        after[n + i] = memory;
      }
      return after;
    };
  }

  function linearStep(data, weights) {
    const d = data.width;
    const kinds = weights["cell.kinds"];
    const bias = weights["cell.token_bias"];
    return (h, token) => {
      const added = bias.subarray(token * d, (token + 1) * d);
      return plus(multiply(weights["cell.weight"].subarray(kinds[token] * d * d), h, null, d), added);
    };
  }

  const STEPS = { gru: gruStep, lstm: lstmStep, linear: linearStep };

  function makeRecurrent(data, weights, output) {
    const step = STEPS[data.kind](data, weights);
    const part = (run, [first, last]) => run.whole.subarray(first, last);
    return {
      begin: () => ({ whole: new Float64Array(data.width) }),
      read: (run, token) => ({ whole: step(run.whole, token) }),
      state: (run, site) => part(run, data.sites[site]),
      logits: (run) => output(part(run, data.output)),
      rewrite(run, site, state) {
        const whole = run.whole.slice();
        whole.set(state, data.sites[site][0]);
        return { whole };
      },
    };
  }

  function makeTransformer(data, weights, output) {
    const d = data.width;
    const width = data.headWidth;
    const heads = d / width;
    const layers = Array.from({ length: data.layers }, (_, i) => (name) => weights[`layers.${i}.${name}`]);

    function normalise(x, weight, bias) {
      const mean = x.reduce((sum, value) => sum + value, 0) / d;
      const variance = x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / d;
      const scale = 1 / Math.sqrt(variance + 1e-5);
      return x.map((value, i) => (value - mean) * scale * weight[i] + bias[i]);
    }

    // Rotary position encoding: pair i of each head turns by position / 10000^(2i / width).
    function turn(x, position) {
      if (!data.rope) return x;
      const out = new Float64Array(d);
      const half = width / 2;
      for (let i = 0; i < half; i++) {
        const angle = position * 10000 ** ((-2 * i) / width);
        const cos = Math.cos(angle);
        const sin = Math.sin(angle);
        for (let at = i; at < d; at += width) {
          out[at] = x[at] * cos - x[at + half] * sin;
          out[at + half] = x[at] * sin + x[at + half] * cos;
        }
      }
      return out;
    }

    function attend(query, keys, values) {
      const out = new Float64Array(d);
      for (let head = 0; head < heads; head++) {
        const first = head * width;
        const scores = keys.map((key) => {
          let sum = 0;
          for (let i = first; i < first + width; i++) sum += query[i] * key[i];
          return sum / Math.sqrt(width);
        });
        softmax(scores).forEach((share, position) => {
          for (let i = first; i < first + width; i++) out[i] += share * values[position][i];
        });
      }
      return out;
    }

    // The residual stream at one position through the layers from `first` on; keys and values of earlier positions
    // come from `before`, those of layers below `first` from `run`.
    function climb(before, position, residuals, keys, values, first) {
      for (let i = first; i < layers.length; i++) {
        const weight = layers[i];
        const x = residuals[i];
        const normed = normalise(x, weight("attention_norm.weight"), weight("attention_norm.bias"));
        const projected = multiply(weight("project_weight"), normed, weight("project_bias"), 3 * d);
        keys[i] = [...(before ? before.keys[i] : []), turn(projected.subarray(d, 2 * d), position)];
        values[i] = [...(before ? before.values[i] : []), projected.subarray(2 * d)];
        const attended = attend(turn(projected.subarray(0, d), position), keys[i], values[i]);
        const middle = plus(x, multiply(weight("attended_weight"), attended, weight("attended_bias"), d));
        const again = normalise(middle, weight("forward_norm.weight"), weight("forward_norm.bias"));
        const hidden = multiply(weight("hidden_weight"), again, weight("hidden_bias"), 4 * d).map(gelu);
        residuals[i + 1] = plus(middle, multiply(weight("output_weight"), hidden, weight("output_bias"), d));
      }
      return { before, position, residuals, keys, values };
    }

    return {
      begin: () => null,
      read(run, token) {
        const embedded = Float64Array.from(weights.embedding.subarray(token * d, (token + 1) * d));
        return climb(run, run ? run.position + 1 : 0, [embedded], [], [], 0);
      },
      state: (run, site) => run.residuals[data.sites[site]],
      logits: (run) =>
        output(normalise(run.residuals[layers.length], weights["final_norm.weight"], weights["final_norm.bias"])),
      rewrite(run, site, state) {
        const first = data.sites[site];
        const kept = (list) => list.slice(0, first);
        const residuals = [...kept(run.residuals), Float64Array.from(state)];
        return climb(run.before, run.position, residuals, kept(run.keys), kept(run.values), first);
      },
    };
  }
