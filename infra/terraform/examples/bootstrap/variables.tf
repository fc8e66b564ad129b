variable "project_id" {
  description = "Project that images are built and kept in."
  type        = string
}

variable "region" {
  description = "Region of the repository and the builds, such as europe-west1."
  type        = string
}
