import pytest

from xrano.errors import ModelError, UnknownNameError
from xrano.rano import RESPONSES
from xrano.tasks import TASKS, task_of


def test_the_response_task_has_the_four_responses_in_their_order():
    task = TASKS["response"]
    assert task.classes == tuple(RESPONSES)
    assert task.indices(["CR", "PR", "SD", "PD", ""]) == [0, 1, 2, 3, -1]


def test_progression_is_pd_against_the_rest():
    task = TASKS["progression"]
    assert [task.class_of(name) for name in ("CR", "PR", "SD", "PD", "")] == [
        *("rest", "rest", "rest", "PD"),
        "",
    ]
    assert task.class_of("rest") == "rest"
    assert task.indices(["PD", "SD"]) == [1, 0]


def test_a_word_that_is_no_response_is_refused():
    with pytest.raises(UnknownNameError, match="response 'pd'"):
        TASKS["response"].class_of("pd")


def test_a_task_is_known_by_its_number_of_classes():
    assert task_of(4).name == "response"
    assert task_of(2).name == "progression"
    with pytest.raises(ModelError, match="gives 3 logits, needed are 4"):
        task_of(3)
