package deploy

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

var composeDir = filepath.Join("..", "..", "deploy", "compose")

// compose.yaml is read as Docker Compose reads it, which refuses what it does not know.
func TestCompose(t *testing.T) {
	options, err := cli.NewProjectOptions([]string{filepath.Join(composeDir, "compose.yaml")}, cli.WithEnv([]string{"VERSION=v1", "COMMIT=abc"}))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	one, two := project.Services["node1"], project.Services["node2"]
	if one.Image == "" || one.Image != two.Image || !maps.EqualFunc(one.Environment, two.Environment, sameSetting) {
		t.Errorf("the nodes differ: %s with %v and %s with %v", one.Image, one.Environment, two.Image, two.Environment)
	}
	if args := one.Build.Args; *args["VERSION"] != "v1" || *args["COMMIT"] != "abc" {
		t.Errorf("the image is built with %v", args)
	}
	var ports []string
	for name, service := range project.Services {
		checkWaits(t, project, name)
		checkFiles(t, service)
		for _, port := range service.Ports {
			ports = append(ports, name+" "+port.Published)
		}
	}
	if slices.Sort(ports); !slices.Equal(ports, []string{"caddy 443", "haproxy 8883"}) {
		t.Errorf("open to the outside are %v", ports)
	}
}

func sameSetting(a, b *string) bool { return a != nil && b != nil && *a == *b }

// checkWaits looks whether what a service waits for to be healthy says whether it is: in
// compose.yaml, or in the image that is built here.
func checkWaits(t *testing.T, project *types.Project, name string) {
	t.Helper()
	for other, wait := range project.Services[name].DependsOn {
		on := project.Services[other]
		if wait.Condition == types.ServiceConditionHealthy && on.HealthCheck == nil && on.Image != project.Services["node1"].Image {
			t.Errorf("%s waits for %s to be healthy, which nobody checks", name, other)
		}
	}
}

// checkFiles looks whether the files are there that a service sees, but those that prepare.sh makes.
func checkFiles(t *testing.T, service types.ServiceConfig) {
	t.Helper()
	private, err := filepath.Abs(filepath.Join(composeDir, "private"))
	if err != nil {
		t.Fatal(err)
	}
	for _, volume := range service.Volumes {
		if volume.Type != types.VolumeTypeBind || strings.HasPrefix(volume.Source, private) {
			continue
		}
		if _, err := os.Stat(volume.Source); err != nil {
			t.Errorf("%s: %v", service.Name, err)
		}
	}
}
