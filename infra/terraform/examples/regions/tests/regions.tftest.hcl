mock_provider "google" {
  source = "../../tests/mocks"
}

variables {
  # A run applies, and what it has applied is taken away after it.
  deletion_protection = false

  project_id      = "my-project"
  image           = "europe-west1-docker.pkg.dev/my-project/images/imagerepo-mirror@sha256:1111111111111111111111111111111111111111111111111111111111111111"
  allowed_sources = ["ghcr.io/my-org/*"]
  regions = {
    europe-west1 = { short_name = "euw1", bridge_principals = { prod-eu = { project_id = "clusters-eu", project_number = "222222222222" } } }
    us-central1  = { short_name = "usc1", bridge_principals = { prod-us = { project_id = "clusters-us", project_number = "555555555555" } } }
  }
}

run "regions_do_not_meet" {
  assert {
    condition     = output.topics["europe-west1"].events == "mirror-euw1-events" && output.topics["us-central1"].events == "mirror-usc1-events"
    error_message = "Each region has topics of its own."
  }

  assert {
    condition     = output.registries["us-central1"] == "us-central1-docker.pkg.dev/my-project/mirror"
    error_message = "Each region pulls from its own repository."
  }
}
