"""A method for tests that a test can hold."""

import ball

from segmend.core.segmenter import Method, Segmenter

METHOD = Method("patient", "Patient", "none", ("click",), (2, 3), "none needed", calibrated=(2, 3))


class PatientWorkspace(ball.BallWorkspace):
    def predict(self, prompts, previous):
        self.pause()
        return super().predict(prompts, previous)

    def pause(self):
        pass


class Patient(Segmenter):
    def open(self, image):
        return PatientWorkspace()


def load():
    return Patient()
