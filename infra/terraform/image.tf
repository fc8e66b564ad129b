# Who says which image runs. Terraform does, by var.image. Or Cloud Build does: it deploys by digest and
# moves the tag deployed-NAME to what it deployed; Terraform then reads that tag, so that a plan after a
# deployment finds nothing to change. Until the first deployment, var.image runs.
locals {
  image_parts    = regex("^([^/]+)/([^/]+)/([^/]+)/(.+)@(sha256:[0-9a-f]{64})$", var.image)
  image_location = regex(local.registry_host, local.image_parts[0])[0]
  image_path     = join("/", slice(local.image_parts, 0, 4))
  deployed_tag   = "deployed-${var.name}"
  deployed_image = one([for tag in local.deployed_tags : "${local.image_path}@${regex("sha256:[0-9a-f]{64}$", tag.version)}"])

  deployed_tags = var.image_managed_by_build ? [
    for tag in data.google_artifact_registry_tags.image[0].tags : tag if endswith(tag.name, "/tags/${local.deployed_tag}")
  ] : []

  image = coalesce(local.deployed_image, var.image)
}

data "google_artifact_registry_tags" "image" {
  count = var.image_managed_by_build ? 1 : 0

  location      = local.image_location
  project       = local.image_parts[1]
  repository_id = local.image_parts[2]
  package_name  = replace(local.image_parts[3], "/", "%2F")
}

# Cloud Run pulls as its service agent, which may read the repositories of its own project only.
# https://docs.cloud.google.com/run/docs/deploying#other-projects
resource "google_artifact_registry_repository_iam_member" "run_agent_pulls" {
  count = var.grant_service_agents && local.image_parts[1] != var.project_id ? 1 : 0

  project    = local.image_parts[1]
  location   = local.image_location
  repository = local.image_parts[2]
  role       = "roles/artifactregistry.reader"
  member     = "serviceAccount:service-${data.google_project.this.number}@serverless-robot-prod.iam.gserviceaccount.com"

  # The agent is made when Cloud Run's API is enabled.
  depends_on = [google_project_service.this]
}
