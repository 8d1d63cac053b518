"""Names that try to leave their place: markup, quotes, line ends, names of prototypes."""

from symscope.algorithms import Algorithm, Category, Integer, UpDown
from symscope.tasks import NumericTask

SCRIPT = "</script><script>window.hacked = 1</script>"
IMAGE = "<img src=x onerror='window.hacked = 2'>"
QUOTES = "\"'\\`${window.hacked = 3}\n\r\t\x00 "
LINES = "\u2028\u2029\x85é\U0001f600"
PROTOTYPE = "__proto__"
CONSTRUCTOR = "constructor"
PLAIN = {CONSTRUCTOR: "count", PROTOTYPE: "phase"}
NAMES = (SCRIPT, IMAGE, QUOTES, LINES, PROTOTYPE, CONSTRUCTOR)


def hostile_task():
    return NumericTask(SCRIPT, [QUOTES, LINES, PROTOTYPE], IMAGE, quantities=range(1, 7), held_out=(2,))


class HostileAlgorithm(Algorithm):
    """Up-Down, whose variables have hostile names."""

    name = SCRIPT
    variables = (Integer(CONSTRUCTOR), Category(PROTOTYPE, (IMAGE, QUOTES)))

    def __init__(self, task):
        super().__init__(task)
        self._inner = UpDown(task)

    @classmethod
    def solves(cls, task):
        return UpDown.solves(task)

    def _to(self, values):
        return {plain: values[name] for name, plain in PLAIN.items()}

    def _back(self, values):
        return {name: values[plain] for name, plain in PLAIN.items()}

    def start(self, batch):
        return self._back(self._inner.start(batch))

    def step(self, values, tokens):
        return self._back(self._inner.step(self._to(values), tokens))

    def next_token_mask(self, values):
        return self._inner.next_token_mask(self._to(values))
