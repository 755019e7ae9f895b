import pytest

from model.text.orthography.questions import is_question

QUESTIONS = """
why is the sea salty
what is the meaning of life
where did the dinosaurs go
when will the rain stop
who ate my cake
who was the first person on the moon
how many stars are there
how far is the moon
how do bees make honey
how old is the earth
what time is it in tokyo
what makes a good friend
what happened to the dog
what if the moon were made of cheese
what kind of animal is a whale
what colour are your eyes
which way should we go
which of my friends can i trust
which is better tea or coffee
whose idea was this
why can't i sleep at night
why not tell me about the war
why do cats purr
what's for dinner
who's afraid of the dark
how about a trip to the sea
how come the sky is blue
is there life on mars
are you happy
can dogs see colours
can you help me with my homework
could we live without money
do you remember my birthday
do cats dream
do fish sleep
does the sun ever die
did you hear the news
will it rain tomorrow
would you like some tea
should i quit my job
shall we go home
have you ever been to paris
has anyone seen my keys
isn't it a lovely day
don't you think so
were you there last night
am i too old to learn the piano
may i come in
""".strip().splitlines()
STATEMENTS = """
what a day
what a lovely surprise it was
what i need is a holiday
what the king said was never written down
what happened next was a surprise
what we know about the sea
what big eyes you have
what's more the house was empty
when i was seven years old
when the rain came
when summer comes
where i come from
where the road ends there is a house
how i met your mother
how to bake bread
how beautiful the evening is
how the leopard got his spots
why i love london
who i am does not matter
whatever you do
which is why i left
whenever it rains
do the dishes
do not open that door
do this for me
don't worry about me
don't you dare
have a nice day
had i known you were coming
were i a rich man
may the force be with you
will and grace went to the fair
dear boss
once upon a time
the old sailor
i wonder why the sea is salty
tell me why the sky is blue
the question is
she asked him
if i were you
my name is anna
island life
isabel was late
candy is sweet
what
""".strip().splitlines()


@pytest.mark.parametrize("seed", QUESTIONS)
def test_a_question_word_or_an_auxiliary_before_the_subject_asks(seed: str):
    assert is_question(seed)


@pytest.mark.parametrize("seed", STATEMENTS)
def test_other_openings_ask_nothing(seed: str):
    assert not is_question(seed)
