"""The exercises and what can be said of an answer: all that the grader needs, which has no torch of its own."""

from typing import NamedTuple

RIGHT, WRONG, NOT_ATTEMPTED, ANSWERED = "right", "wrong", "not attempted", "answered"


class Exercise(NamedTuple):
    """An exercise as its check knows it: its number, its title, and the name of the function that is the answer.

    The check is the function of that name in the lesson's module here. The answer to a question is in words, in a
    variable called answer_..., and a person reads it.
    """

    number: str
    title: str
    function: str

    @property
    def lesson(self) -> int:
        """The lesson that the exercise belongs to."""
        return int(self.number.partition(".")[0])

    @property
    def in_words(self) -> bool:
        """Whether the answer is a text."""
        return self.function.startswith("answer_")


EXERCISES: dict[str, Exercise] = {
    entry.number: entry
    for entry in (
        Exercise("0.1", "Back to legal pixels", "to_legal"),
        Exercise("0.2", "The untargeted objective", "away_from_class"),
        Exercise("0.3", "Who is wrong?", "answer_0_3"),
        Exercise("1.0", "Write the loop", "climb_logit"),
        Exercise("1.1", "The loop for any score", "climb"),
        Exercise("1.2", "Total variation", "variation"),
        Exercise("1.3", "Jitter", "jitter"),
        Exercise("1.4", "The dream of another layer", "dream_of"),
        Exercise("1.5", "What a certain network has not learnt", "answer_1_5"),
        Exercise("2.0", "Write the loop", "climb"),
        Exercise("2.1", "FGSM, one step with signs", "fgsm_toward"),
        Exercise("2.2", "Back into the ball", "into_l2_ball"),
        Exercise("2.3", "Noise of equal size", "noise_like"),
        Exercise("2.4", "Hide it in a corner", "in_the_corner"),
        Exercise("2.5", "A patch that works anywhere", "learn_patch"),
        Exercise("2.6", "A change that survives JPEG", "jpeg_proof"),
        Exercise("2.7", "Is it a danger?", "answer_2_7"),
        Exercise("3.1", "The first step past 99.6 %", "first_past"),
        Exercise("3.2", "The same budget, without evolution", "chance"),
        Exercise("3.3", "A mutation", "mutate"),
        Exercise("3.4", "How special is a champion?", "as_sure"),
        Exercise("3.5", "What does a confidence say?", "answer_3_5"),
        Exercise("4.1", "Do two seeds agree?", "pair_agreement"),
        Exercise("4.2", "Straight up the ostrich's gradient", "first_size"),
        Exercise("4.3", "The smallest epsilon, by bisection", "smallest_epsilon"),
        Exercise("4.4", "One over the root of d", "even_change"),
        Exercise("4.5", "Why is the boundary so near?", "answer_4_5"),
        Exercise("5.1", "Robust accuracy", "robust_accuracy"),
        Exercise("5.2", "The worst of several attacks", "worst_of_attacks"),
        Exercise("5.3", "Straight through", "quantise"),
        Exercise("5.4", "The gradient over many views", "gradient_over_views"),
        Exercise("5.5", "The certified radius", "certified_radius"),
        Exercise("5.6", "Nothing came through our filter", "answer_5_6"),
        Exercise("6.1", "Shrink a change", "shrink_change"),
        Exercise("6.2", "Across a straight boundary", "nearest_across"),
        Exercise("6.3", "Between walls", "nearest_between_walls"),
        Exercise("6.4", "Whose change is smaller?", "answer_6_4"),
    )
}
