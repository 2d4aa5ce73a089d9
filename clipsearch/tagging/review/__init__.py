"""Review: questions to a person whose answers would teach most, asked in a table and read back.

choosing    which pictures and labels, on arrays
questions   about a collection's pictures, and as a table

asked = questions(store, tagger.fit.scorer, vocabulary, labels, n=50)
write_questions(Path("review.csv"), asked)
...                                            # a person fills in the column correct
Answers(folder).add(read_labels(Path("review.csv"), vocabulary), vocabulary, by="review.csv")
"""

from clipsearch.tagging.review.choosing import RANDOM_SHARE, Known, Proposal, propose
from clipsearch.tagging.review.questions import Question, questions, write_questions

__all__ = ["RANDOM_SHARE", "Known", "Proposal", "Question", "propose", "questions", "write_questions"]
