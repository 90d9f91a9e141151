"""Rules broken one by one: each mutant is a small change that some test must notice.

Its text stands exactly once in its file (a test checks it), so that the list cannot rot.
"""

from tests.mutations import of_answers, of_places, of_rules

MUTANTS = (*of_rules.MUTANTS, *of_places.MUTANTS, *of_answers.MUTANTS)
