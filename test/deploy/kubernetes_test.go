package deploy

import (
	"path/filepath"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// Every overlay is built, has only fields that Kubernetes knows, and what selects pods selects
// those of the Deployment.
func TestOverlays(t *testing.T) {
	for overlay, want := range map[string][]string{
		"embedded": {"Deployment", "NetworkPolicy", "PersistentVolumeClaim", "Service", "Service"},
		"cluster":  {"Deployment", "HorizontalPodAutoscaler", "NetworkPolicy", "PodDisruptionBudget", "Service", "Service"},
	} {
		t.Run(overlay, func(t *testing.T) {
			m := build(t, overlay)
			slices.Sort(m.kinds)
			if !slices.Equal(m.kinds, want) {
				t.Errorf("it has %v, want %v", m.kinds, want)
			}
			pod := m.deployment.Spec.Template
			for name, selector := range m.selectors {
				s, err := metav1.LabelSelectorAsSelector(selector)
				if err != nil || s.Empty() || !s.Matches(labels.Set(pod.Labels)) {
					t.Errorf("%s selects %v (%v), not pods with %v alone", name, s, err, pod.Labels)
				}
			}
			checkPorts(t, m, pod.Spec.Containers[0])
			checkDrain(t, pod.Spec)
		})
	}
}

// manifests are an overlay's, decoded.
type manifests struct {
	kinds      []string
	deployment appsv1.Deployment
	services   []corev1.Service
	selectors  map[string]*metav1.LabelSelector
}

func build(t *testing.T, overlay string) manifests {
	t.Helper()
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join("..", "..", "deploy", "kubernetes", "overlays", overlay))
	if err != nil {
		t.Fatal(err)
	}
	m := manifests{selectors: make(map[string]*metav1.LabelSelector)}
	for _, r := range built.Resources() {
		text, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		strict := func(into any) {
			t.Helper()
			if err := yaml.UnmarshalStrict(text, into); err != nil {
				t.Errorf("%s: %v\n%s", r.CurId(), err, text)
			}
		}
		m.kinds = append(m.kinds, r.GetKind())
		switch r.GetKind() {
		case "Deployment":
			strict(&m.deployment)
			m.selectors["the Deployment"] = m.deployment.Spec.Selector
		case "Service":
			var s corev1.Service
			strict(&s)
			m.services = append(m.services, s)
			m.selectors["the Service "+s.Name] = &metav1.LabelSelector{MatchLabels: s.Spec.Selector}
		case "PersistentVolumeClaim":
			strict(&corev1.PersistentVolumeClaim{})
		case "NetworkPolicy":
			var p networkingv1.NetworkPolicy
			strict(&p)
			m.selectors["the NetworkPolicy"] = &p.Spec.PodSelector
		case "PodDisruptionBudget":
			var b policyv1.PodDisruptionBudget
			strict(&b)
			m.selectors["the PodDisruptionBudget"] = b.Spec.Selector
		case "HorizontalPodAutoscaler":
			var a autoscalingv2.HorizontalPodAutoscaler
			strict(&a)
			if a.Spec.ScaleTargetRef.Name != "parley" || a.Spec.ScaleTargetRef.Kind != "Deployment" {
				t.Errorf("the autoscaler scales %v", a.Spec.ScaleTargetRef)
			}
		default:
			t.Errorf("this test knows no %s", r.GetKind())
		}
	}
	return m
}

// checkPorts looks for the ports that Services and probes name.
func checkPorts(t *testing.T, m manifests, c corev1.Container) {
	t.Helper()
	var named []string
	for _, p := range c.Ports {
		named = append(named, p.Name)
	}
	for _, s := range m.services {
		for _, p := range s.Spec.Ports {
			if !slices.Contains(named, p.TargetPort.String()) {
				t.Errorf("the Service %s goes to port %s, the container has %v", s.Name, p.TargetPort.String(), named)
			}
		}
	}
	for what, p := range map[string]*corev1.Probe{"startup": c.StartupProbe, "liveness": c.LivenessProbe, "readiness": c.ReadinessProbe} {
		if p == nil || !slices.Contains(named, p.HTTPGet.Port.String()) {
			t.Errorf("the %s probe asks %v, the container has %v", what, p, named)
		}
	}
}

// checkDrain compares the drain delay with the readiness probe, which has to notice it, and with
// the time before SIGKILL, which has to be above the 10 s that a stop may take.
func checkDrain(t *testing.T, pod corev1.PodSpec) {
	t.Helper()
	c := pod.Containers[0]
	var drain metav1.Duration
	for _, e := range c.Env {
		if e.Name == "PARLEY_DRAIN_DELAY" {
			if err := yaml.Unmarshal([]byte(e.Value), &drain); err != nil {
				t.Fatal(err)
			}
		}
	}
	noticed := float64(c.ReadinessProbe.PeriodSeconds * c.ReadinessProbe.FailureThreshold)
	if drain.Seconds() <= noticed {
		t.Errorf("a drain delay of %v, and the readiness probe notices in %v s", drain.Duration, noticed)
	}
	if grace := *pod.TerminationGracePeriodSeconds; grace <= 10 || drain.Seconds() > 5 {
		t.Errorf("SIGKILL after %d s, with a drain delay of %v: a stop takes up to 10 s with one of up to 5 s", grace, drain.Duration)
	}
}
