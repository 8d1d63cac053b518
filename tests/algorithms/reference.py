"""Reference implementations of the algorithms: one sequence at a time, on token names, with exact fractions.

They follow the definitions of the algorithms, not the code of `symscope.algorithms`.
"""

from fractions import Fraction

RULES = {
    "up-down": lambda n: n,
    "up-down-modulo": lambda n: n % 4,
    "up-down-rounding": lambda n: 3 * round(n / 3),
    "up-down-square": lambda n: n**2,
}
NUMBERS = [str(n) for n in range(21)]
FOREVER = "never ends"


class CountsDown:
    def __init__(self, name, response):
        self.rule, self.response = RULES[name], response
        self.largest = 30 if name == "up-down-square" else None
        self.state = {"count": 0, "phase": "demo"}

    def read(self, token):
        state = self.state
        if token == "T":
            if state["phase"] == "demo":
                state["count"] = self.rule(state["count"])
            state["phase"] = "resp"
        elif token[0] in "DC" and state["phase"] == "demo":
            state["count"] += 1
        elif token == self.response:
            state["count"] -= 1

    def next(self):
        if self.state["phase"] == "demo":
            return FOREVER if self.largest and self.state["count"] > self.largest else "free"
        return "EOS" if self.state["count"] == 0 else self.response


class UpUp:
    def __init__(self, name, response):
        self.response = response
        self.state = {"demo_count": 0, "resp_count": 0, "phase": "demo"}

    def read(self, token):
        if token == "T":
            self.state["phase"] = "resp"
        elif token[0] in "DC" and self.state["phase"] == "demo":
            self.state["demo_count"] += 1
        elif token == self.response:
            self.state["resp_count"] += 1

    def next(self):
        if self.state["phase"] == "demo":
            return "free"
        left = self.state["demo_count"] - self.state["resp_count"]
        return FOREVER if left < 0 else self.response if left else "EOS"


class CtxDistr:
    """Stores the values of the whole context; `state` is the value of the last token only."""

    def __init__(self, name, response):
        self.response, self.earlier, self.seen, self.state = response, [], False, {"value": 0}

    def read(self, token):
        self.earlier.append(self.state["value"])
        value = 0
        if token == "T":
            self.seen = True
        elif token == self.response and self.seen:
            value = -1
        elif token[0] in "DC":
            value = 1
        self.state = {"value": value}

    def next(self):
        if not self.seen:
            return "free"
        return "EOS" if sum(self.earlier) + self.state["value"] <= 0 else self.response


class Increment:
    def __init__(self, name, response):
        self.response = response
        self.state = {"count": Fraction(0), "increment": Fraction(1), "phase": "demo"}

    def read(self, token):
        state = self.state
        if token == "T" and state["phase"] == "demo":
            state["increment"] = 1 / state["count"] if state["count"] else Fraction(0)
            state["count"], state["phase"] = Fraction(0), "resp"
        elif (token == self.response) if state["phase"] == "resp" else (token[0] in "DC"):
            state["count"] += state["increment"]

    def next(self):
        if self.state["phase"] == "demo":
            return "free"
        if self.state["count"] >= 1:
            return "EOS"
        return self.response if self.state["increment"] else FOREVER


class RunningTotal:
    def __init__(self, name, response):
        self.state = {"total": 0, "remaining": 0, "phase": "operations"}

    def read(self, token):
        state, phase = self.state, self.state["phase"]
        if phase == "operations" and token in NUMBERS:
            state["remaining"], state["phase"] = int(token), "start"
        elif phase == "start":
            state["total"], state["phase"] = int(token), "operator"
        elif phase == "operator":
            state["remaining"] -= 1
            state["phase"] = {"+": "add", "-": "subtract"}[token]
        elif phase in ("add", "subtract"):
            state["total"] += int(token) if phase == "add" else -int(token)
            state["phase"] = "equals"
        else:
            state["phase"] = {"=": "total", ",": "operator"}.get(token, "comma" if phase == "total" else phase)

    def next(self):
        state = self.state
        choices = {
            "operations": NUMBERS[1:],
            "start": NUMBERS,
            "operator": ["+", "-"] if state["remaining"] else ["EOS"],
            "add": [n for n in NUMBERS if state["total"] + int(n) <= 20],
            "subtract": [n for n in NUMBERS if state["total"] - int(n) >= 0],
            "equals": ["="],
            "total": [str(state["total"])],
            "comma": [","],
        }[state["phase"]]
        return choices[0] if len(choices) == 1 else set(choices)


PLAIN = dict.fromkeys(RULES, CountsDown) | {
    "up-up": UpUp,
    "ctx-distr": CtxDistr,
    "increment": Increment,
    "running-total": RunningTotal,
}


def plain(algorithm, tokens):
    """The reference of an algorithm, after the token names of a sequence or of its beginning."""
    response = "C" if algorithm.task.name.startswith("same-object") else "R"
    reference = PLAIN[algorithm.name](algorithm.name, response)
    for token in tokens:
        if token not in ("BOS", "EOS", "PAD", "V"):
            reference.read(token)
        elif token == "V":
            read_void(reference)
    return reference


def read_void(reference):
    """A void changes no state, except that Ctx-Distr has a value for it, which is 0."""
    if isinstance(reference, CtxDistr):
        reference.earlier.append(reference.state["value"])
        reference.state = {"value": 0}


def allowed_names(algorithm, reference):
    """The names that may come next, or `FOREVER`."""
    answer = reference.next()
    if answer == FOREVER:
        return FOREVER
    if answer == "free":
        return {name for name in algorithm.task.vocabulary.names if name[0] in "DCTV"} - {"EOS"}
    return answer if isinstance(answer, set) else {answer}


def value(variable, number):
    """A value of `symscope` as the reference has it: a label, an integer, or a fraction."""
    if hasattr(variable, "labels"):
        return variable.labels[int(number)]
    return Fraction(float(number)).limit_denominator(10_000)
