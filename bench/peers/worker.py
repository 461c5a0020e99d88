"""The worker's side of bench/peers in Python: the protocol of worker.h."""
import json
import os
import sys
import time

import numpy as np


def answers(version, variants, ask):
    """Speaks the protocol until the end of input; ask(variant, begin, end) → times in ms, error or None."""
    # What libraries print must not come between the answers.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def answer(**fields):
        out.write(json.dumps(fields) + "\n")
        out.flush()

    answer(ready=True, version=version, variants=list(variants))
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            times, worst = ask(variants[asked["variant"]], *asked["requests"])
            if worst is not None and not np.isfinite(worst):
                raise ArithmeticError("a logit, a loss or a gradient is not a number")
            answer(ms=times, max_abs_error=None if worst is None else float(worst))
        except Exception as error:  # pylint: disable=broad-except
            answer(error=f"{type(error).__name__}: {error}"[:300])


def timed(body, index):
    started = time.perf_counter()
    result = body(index)
    return 1e3 * (time.perf_counter() - started), result


def serve(folder, version, variants):
    """`variants`: name → (family, score); score(index) is what is timed and returns the logits [N, 4] of
    request `index` as anything NumPy reads. A variant that raises is answered with an error, not fatal."""
    truths = {family: folder.truth(family) for family in ("dot", "din")}

    def ask(variant, begin, end):
        family, score = variant
        times, worst = [], None
        for index in range(begin, end):
            took, logits = timed(score, index)
            times.append(took)
            if index < len(truths[family]):
                logits = np.asarray(logits, np.float64).reshape(truths[family][index].shape)
                error = np.abs(logits - truths[family][index]).max()
                worst = error if worst is None or not error <= worst else worst
        return times, worst

    answers(version, variants, ask)


def serve_steps(version, variants):
    """`variants`: name → (error of its gradients, step); step(index) is what is timed and returns the loss."""
    def ask(variant, begin, end):
        error, step = variant
        steps = [timed(step, index) for index in range(begin, end)]
        finite = all(np.isfinite(loss) for _, loss in steps)
        return [took for took, _ in steps], error if finite else np.nan

    answers(version, variants, ask)
