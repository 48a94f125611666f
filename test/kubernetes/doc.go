// Package kubernetes tests the manifests of deploy/kubernetes. It is a module of its own, so that
// Kubernetes' types never reach the product.
package kubernetes
