mock_provider "google" {
  source = "../../tests/mocks"

  override_resource {
    target = google_artifact_registry_repository.images
    values = { name = "images" }
  }
}

variables {
  # A run applies, and what it has applied is taken away after it.
  deletion_protection = false

  project_id = "my-project"
  region     = "europe-west1"
}

run "first_build_can_push" {
  assert {
    condition     = google_artifact_registry_repository_iam_member.build_pushes.role == "roles/artifactregistry.writer" && google_artifact_registry_repository_iam_member.build_pushes.repository == "images"
    error_message = "The build pushes into the repository that is made here."
  }

  assert {
    condition     = length(google_artifact_registry_repository.images.docker_config) == 0
    error_message = "Tags can move."
  }

  assert {
    condition     = output.source_staging_dir == "gs://my-project-imagerepo-mirror-source/source"
    error_message = "The output is what gcloud is given."
  }
}

run "images_stay" {
  command = plan

  variables {
    deletion_protection = null # the default
  }

  assert {
    condition     = google_artifact_registry_repository.images.deletion_policy == "PREVENT"
    error_message = "Images stay."
  }
}
