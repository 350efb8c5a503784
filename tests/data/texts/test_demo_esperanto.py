import hashlib

from lightning_nlp.data.texts.demo_esperanto import demo_esperanto


def test_the_sentences_of_quickstart_mlm_are_these():
    sentences = list(demo_esperanto(20_000))
    digest = hashlib.sha256("\n".join(sentences).encode()).hexdigest()
    assert digest == "c7315be63c7aaecf54ecdca206febf7c4f0b73cd5bc7e90215f118a1bb4c781e"
    assert list(demo_esperanto(20, seed=6)) != sentences[:20] == list(demo_esperanto(20))
    assert list(demo_esperanto(0)) == []
