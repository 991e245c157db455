"""A method for tests that takes two seconds."""

import time

import ball

from segmend.core.segmenter import Method, Segmenter

METHOD = Method("patient", "Patient", "none", ("click",), (2, 3), "none needed", calibrated=(2, 3))


class PatientWorkspace(ball.BallWorkspace):
    def predict(self, prompts, previous):
        time.sleep(2)
        return super().predict(prompts, previous)


class Patient(Segmenter):
    def open(self, image):
        return PatientWorkspace()


def load():
    return Patient()
