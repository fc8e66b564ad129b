mock_provider "google" {
  source = "../../tests/mocks"
}

variables {
  project_id = "my-project"
  region     = "europe-west1"
}

run "first_build_can_push" {
  assert {
    condition     = google_artifact_registry_repository_iam_member.build_pushes.role == "roles/artifactregistry.writer" && google_artifact_registry_repository_iam_member.build_pushes.repository == "images"
    error_message = "The build pushes into the repository that is made here."
  }

  assert {
    condition     = google_artifact_registry_repository.images.deletion_policy == "PREVENT" && length(google_artifact_registry_repository.images.docker_config) == 0
    error_message = "Images stay, and their tags can move."
  }

  assert {
    condition     = output.source_staging_dir == "gs://my-project-imagerepo-mirror-source/source"
    error_message = "The output is what gcloud is given."
  }
}
