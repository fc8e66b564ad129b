variable "project_id" {
  description = "Project of everything here, the cluster too."
  type        = string
}

variable "project_number" {
  description = "Number of the cluster's project."
  type        = string
}

variable "image" {
  description = "The mirror's image by digest, as the build prints it."
  type        = string
}
