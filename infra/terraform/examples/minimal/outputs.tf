output "topics" {
  description = "For the bridge: --topic and --bulk-topic."
  value       = module.imagerepo_mirror.topics
}

output "destination_registry" {
  description = "Where images are mirrored to."
  value       = module.imagerepo_mirror.destination_registry
}
