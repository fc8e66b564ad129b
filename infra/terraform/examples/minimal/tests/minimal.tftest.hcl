mock_provider "google" {
  source = "../../tests/mocks"
}

variables {
  # A run applies, and what it has applied is taken away after it.
  deletion_protection = false

  project_id     = "my-project"
  project_number = "222222222222"
  image          = "europe-west1-docker.pkg.dev/my-project/images/imagerepo-mirror@sha256:1111111111111111111111111111111111111111111111111111111111111111"
}

run "names_for_the_bridge" {
  assert {
    condition     = output.topics == { bulk = "imagerepo-mirror-bulk", events = "imagerepo-mirror-events" }
    error_message = "The bridge is told these names."
  }
}
