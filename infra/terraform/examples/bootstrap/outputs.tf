output "image" {
  description = "Name of the image that builds push: _IMAGE of cloudbuild.yaml."
  value       = "${google_artifact_registry_repository.images.registry_uri}/imagerepo-mirror"
}

output "build_service_account" {
  description = "E-mail of the account that builds run as: build_service_account of the module."
  value       = google_service_account.build.email
}

output "source_staging_dir" {
  description = "Where sources are uploaded: --gcs-source-staging-dir of gcloud builds submit."
  value       = "gs://${google_storage_bucket.source.name}/source"
}
