"""The museum of mistakes: what public implementations of speculative decoding get wrong.

Each exhibit is a whole step of decoding that runs, returns plausible tokens, and is wrong. They
stand here to prove that the certificate sees them. ``step(target, draft)`` makes the step;
``sampling`` is what the user asked for, so that the right answer is the target's law under it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from speccore.decoding.acceptance import Verdict, rejection, with_replacement
from speccore.decoding.certificate import TableDrafter, speculative_step
from speccore.decoding.sampling import Sampling
from speccore.decoding.tree import Draft, TokenTree

CHAIN = (-1, 0)
BUSH = (-1, -1, 0, 0)  # two siblings, and two more below the first
RAW = Sampling()


@dataclass(frozen=True)
class Mistake:
    step: Callable
    sampling: Sampling = field(default_factory=Sampling)
    published: float | None = None
    """The total variation quoted for one model (three tokens, V = 3, γ = 2), where there is one."""


def _normalised(law):
    total = law.sum()
    return law / total if total > 0 else law


# -- chains ----------------------------------------------------------------------------------------


def _chain(*, judge=lambda p, q, i: (p[i], q[i]), correct=None, finish=None, shared_uniform=False):
    """Leviathan's rule with a part of it replaced."""

    def rule(draft, p, chance):
        tokens, accepted_ratio = draft.tree.tokens.tolist(), 1.0
        for i, token in enumerate(tokens):
            target, law = judge(p, draft.laws, i)
            if shared_uniform:
                # Given u <= all ratios so far, u <= this one as well with probability ratio / min.
                ratio = min(1.0, target[token] / law[token])
                accepted = chance.accepts(min(ratio, accepted_ratio), accepted_ratio)
                accepted_ratio = min(ratio, accepted_ratio)
            else:
                accepted = chance.accepts(target[token], law[token])
            if not accepted:
                if correct is None:
                    left = np.maximum(target - law, 0.0)
                    # Where p < q everywhere, as wrong laws can make it, there is no residual.
                    next_token = chance.draw(left if left.any() else target)
                else:
                    next_token = correct(target, law, token, chance)
                return Verdict(tuple(range(i)), next_token)
        path = tuple(range(len(tokens)))
        if finish is not None:
            return finish(path, tokens, p, chance)
        return Verdict(path, chance.draw(p[-1]))

    return lambda target, draft: speculative_step(target, TableDrafter(draft, CHAIN), rule)


def _argmax_bonus(path, tokens, p, chance):
    return Verdict(path, int(p[-1].argmax()))


def _no_bonus(path, tokens, p, chance):
    return Verdict(path[:-1], tokens[-1])


def _p_overwritten_by_the_residuals(target, draft):
    def rule(draft, p, chance):
        residuals = p  # meant as a copy
        np.maximum(p[:-1] - draft.laws[:-1], 0.0, out=residuals[:-1])
        for i, token in enumerate(draft.tree.tokens.tolist()):
            if not chance.accepts(p[i, token], draft.laws[i, token]):
                return Verdict(tuple(range(i)), chance.draw(residuals[i]))
        return Verdict(tuple(range(len(draft.tree))), chance.draw(p[-1]))

    return speculative_step(target, TableDrafter(draft, CHAIN), rule)


def _target_not_processed(sampling):
    """The draft is drawn as the user asked; the target's laws are used as they are."""

    def make(target, draft):
        def step(context, chance):
            guesses = TableDrafter(draft, CHAIN).propose(context, sampling, chance)
            verdict = rejection(guesses, RAW.law(target.logits(context, guesses.tree)), chance)
            return [*guesses.tree.tokens[list(verdict.path)], verdict.token]

        return step

    return make


def _laws_before_processing(sampling):
    """Guesses are drawn as the user asked, but judged by the draft's unprocessed laws."""

    def make(target, draft):
        def step(context, chance):
            guesses = TableDrafter(draft, CHAIN).propose(context, sampling, chance)
            laws = RAW.law(draft.logits(context, guesses.tree))
            p = sampling.law(target.logits(context, guesses.tree))
            verdict = rejection(Draft(guesses.tree, laws), p, chance)
            return [*guesses.tree.tokens[list(verdict.path)], verdict.token]

        return step

    return make


def _greedy_draft_as_sampled(target, draft):
    def step(context, chance):
        guesses = TableDrafter(draft, CHAIN, "most probable").propose(context, RAW, chance)
        laws = RAW.law(draft.logits(context, guesses.tree))
        p = RAW.law(target.logits(context, guesses.tree))
        verdict = rejection(Draft(guesses.tree, laws), p, chance)
        return [*guesses.tree.tokens[list(verdict.path)], verdict.token]

    return step


def _unlikely_guesses_dropped(target, draft):
    """The draft ends *before* a guess in which it has little confidence, though that was drawn."""

    def step(context, chance):
        guesses = TableDrafter(draft, CHAIN).propose(context, RAW, chance)
        confident = guesses.laws[[0, 1], guesses.tree.tokens] >= 0.4
        kept = 2 if confident.all() else int(confident.argmin())
        guesses = Draft(TokenTree.chain(guesses.tree.tokens[:kept]), guesses.laws[: kept + 1])
        p = RAW.law(target.logits(context, guesses.tree))
        verdict = rejection(guesses, p, chance)
        return [*guesses.tree.tokens[list(verdict.path)], verdict.token]

    return step


# -- trees -----------------------------------------------------------------------------------------


def _bush(*, siblings, law_of, update):
    """Multi-round rejection with a part of it replaced.

    ``law_of`` gives the law that judges sibling k; ``update`` what is left after a rejection.
    """

    def rule(draft, p, chance):
        path, node = [], -1
        while True:
            left = p[node + 1]
            children = draft.tree.children(node)
            guesses = [int(draft.tree.tokens[child]) for child in children]
            for k, token in enumerate(guesses):
                q = law_of(draft.laws[node + 1], guesses, k)
                if chance.accepts(left[token], q[token]):
                    break
                rest = update(left, q)
                left = rest if rest.any() else left
            else:
                return Verdict(tuple(path), chance.draw(left))
            node = children[k]
            path.append(node)

    return lambda target, draft: speculative_step(target, TableDrafter(draft, BUSH, siblings), rule)


def _same(q, guesses, k):
    return q


def _thinned(q, guesses, k):
    """What the first k guesses left of q."""
    rest = q.copy()
    rest[guesses[:k]] = 0.0
    return _normalised(rest)


def _thinned_in_reverse(q, guesses, k):
    """The laws of the siblings swapped: the first is judged by that of the last."""
    others = [guess for guess in guesses if guess != guesses[k]]
    return _thinned(q, others, len(guesses) - 1 - k)


def _thinned_not_renormalised(q, guesses, k):
    rest = q.copy()
    rest[guesses[:k]] = 0.0
    return rest


def _residual(left, q):
    return _normalised(np.maximum(left - q, 0.0))


def _duplicates_dropped(target, draft):
    """Siblings that coincide are merged to save a node, though each was one of the draws."""

    def step(context, chance):
        guesses = TableDrafter(draft, (-1, -1)).propose(context, RAW, chance)
        if guesses.tree.tokens[0] == guesses.tree.tokens[1]:
            tree = TokenTree(guesses.tree.tokens[:1], guesses.tree.parents[:1])
            guesses = Draft(tree, guesses.laws[:2])
        p = RAW.law(target.logits(context, guesses.tree))
        verdict = with_replacement(guesses, p, chance)
        return [*guesses.tree.tokens[list(verdict.path)], verdict.token]

    return step


def _drawn_one_way_judged_the_other(siblings, rule):
    return lambda target, draft: speculative_step(target, TableDrafter(draft, BUSH, siblings), rule)


WITH, WITHOUT = "with replacement", "without replacement"
TOP_2, COOL = Sampling(top_k=2), Sampling(temperature=0.7)

MISTAKES = {
    "bonus token by argmax": Mistake(_chain(finish=_argmax_bonus), published=0.03),
    "target raw, draft top-k": Mistake(_target_not_processed(TOP_2), TOP_2, published=0.10),
    "temperature on the draft only": Mistake(_target_not_processed(COOL), COOL, published=0.12),
    "resampling from p": Mistake(
        _chain(correct=lambda p, q, token, chance: chance.draw(p)), published=0.20
    ),
    "q off by one": Mistake(_chain(judge=lambda p, q, i: (p[i], q[i + 1])), published=0.21),
    "greedy draft treated as sampled": Mistake(_greedy_draft_as_sampled, published=0.40),
    "p off by one": Mistake(_chain(judge=lambda p, q, i: (p[i + 1], q[i])), published=0.75),
    "laws before top-k": Mistake(_laws_before_processing(TOP_2), TOP_2),
    "laws before temperature": Mistake(_laws_before_processing(COOL), COOL),
    "residual of the wrong sign": Mistake(
        _chain(correct=lambda p, q, token, chance: chance.draw(np.maximum(q - p, 0.0)))
    ),
    "rejected token emitted again": Mistake(_chain(correct=lambda p, q, token, chance: token)),
    "one uniform for all positions": Mistake(_chain(shared_uniform=True)),
    "p overwritten in place": Mistake(_p_overwritten_by_the_residuals),
    "unlikely guesses dropped": Mistake(_unlikely_guesses_dropped),
    "siblings: residual not normalised": Mistake(
        _bush(siblings=WITH, law_of=_same, update=lambda left, q: np.maximum(left - q, 0.0))
    ),
    "siblings: each against p": Mistake(
        _bush(siblings=WITH, law_of=_same, update=lambda left, q: left)
    ),
    "siblings: laws swapped": Mistake(
        _bush(siblings=WITHOUT, law_of=_thinned_in_reverse, update=_residual)
    ),
    "siblings: q not renormalised": Mistake(
        _bush(siblings=WITHOUT, law_of=_thinned_not_renormalised, update=_residual)
    ),
    "siblings: drawn without, judged with replacement": Mistake(
        _drawn_one_way_judged_the_other(WITHOUT, with_replacement)
    ),
    "siblings: drawn with, judged without replacement": Mistake(
        _bush(siblings=WITH, law_of=_thinned, update=_residual)
    ),
    "siblings: duplicates dropped": Mistake(_duplicates_dropped),
}

SLOW_BUT_UNBIASED = {"bonus token left out": _chain(finish=_no_bonus)}

CORRECT = {
    "the chain of the museum": _chain(),
    "the bush with replacement": _bush(siblings=WITH, law_of=_same, update=_residual),
    "the bush without replacement": _bush(siblings=WITHOUT, law_of=_thinned, update=_residual),
}
