package devcluster

import (
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/pleiad/pleiad/internal/config"
)

const repository = "../.."

// composeFile is what of docker-compose.yml the tests look at.
type composeFile struct {
	Services map[string]composeService
	Volumes  map[string]any
	Secrets  map[string]struct{ File string }
}

type composeService struct {
	Image       string
	Build       string
	Entrypoint  []string
	Environment map[string]string
	Volumes     []string
	Secrets     []string
	Ports       []string
	Healthcheck struct{ Test []string }
	ShmSize     string                                `yaml:"shm_size"`
	StopGrace   string                                `yaml:"stop_grace_period"`
	DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
}

func readCompose(t *testing.T) composeFile {
	t.Helper()
	var f composeFile
	if err := yaml.Unmarshal([]byte(readRepository(t, "docker-compose.yml")), &f); err != nil {
		t.Fatal(err)
	}
	return f
}

func readRepository(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(repository, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// What a service names must exist: mounted files, volumes, secrets, services it waits for.
func TestComposeFileIsConsistent(t *testing.T) {
	f := readCompose(t)
	usedBy := map[string]string{}
	for name, s := range f.Services {
		if len(s.Healthcheck.Test) < 2 {
			t.Errorf("%s has no health check", name)
		}
		if strings.HasPrefix(s.Image, "postgres:") && s.ShmSize == "" {
			t.Errorf("%s has Docker's 64 MB for parallel queries", name)
		}
		if (s.Image == "") == (s.Build == "") {
			t.Errorf("%s: image %q, build %q", name, s.Image, s.Build)
		}
		for _, v := range s.Volumes {
			source, target, _ := strings.Cut(v, ":")
			if !strings.HasPrefix(source, "./") {
				if _, ok := f.Volumes[source]; !ok || usedBy[source] != "" || target != "/var/lib/postgresql/data" {
					t.Errorf("%s: volume %s (declared %v, also used by %q)", name, v, ok, usedBy[source])
				}
				usedBy[source] = name
				continue
			}
			st, err := os.Stat(filepath.Join(repository, source))
			if err != nil || (path.Ext(source) == ".sh" && st.Mode()&0o111 == 0) {
				t.Errorf("%s mounts %s: %v, or not executable", name, source, err)
			}
		}
		for _, secret := range s.Secrets {
			if _, err := os.Stat(filepath.Join(repository, f.Secrets[secret].File)); f.Secrets[secret].File == "" || err != nil {
				t.Errorf("%s: secret %s: %v", name, secret, err)
			}
		}
		for key, value := range s.Environment {
			if strings.HasSuffix(key, "_FILE") && !slices.Contains(s.Secrets, strings.TrimPrefix(value, "/run/secrets/")) {
				t.Errorf("%s: %s=%s is not one of its secrets", name, key, value)
			}
		}
		for other, on := range s.DependsOn {
			if _, ok := f.Services[other]; !ok || on.Condition != "service_healthy" {
				t.Errorf("%s depends on %s: %q", name, other, on.Condition)
			}
		}
	}
	for volume := range f.Volumes {
		if usedBy[volume] == "" {
			t.Errorf("volume %s is not used", volume)
		}
	}
}

// The services are the servers that config.yaml names, each with its role, and the proxy.
func TestComposeFileFitsConfig(t *testing.T) {
	f := readCompose(t)
	cfg, err := config.Load(filepath.Join(repository, "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"proxy"}
	for _, b := range cfg.Backends {
		primary := f.Services[b.Primary.Host]
		want = append(want, b.Primary.Host)
		if len(b.Replicas) != 1 || b.Primary.Port != 5432 {
			t.Fatalf("backend %s: port %d, %d replicas", b.Name, b.Primary.Port, len(b.Replicas))
		}
		r := b.Replicas[0]
		standby := f.Services[r.Host]
		want = append(want, r.Host)
		if standby.Environment["PRIMARY_HOST"] != b.Primary.Host || standby.Environment["STANDBY"] != r.Name ||
			primary.Environment["STANDBY"] != r.Name || r.Port != 5432 {
			t.Errorf("%s and %s do not know each other: %v, %v", b.Primary.Host, r.Host, primary.Environment, standby.Environment)
		}
		if file := b.Credentials.PasswordFile; file != primary.Environment["POSTGRES_PASSWORD_FILE"] ||
			!slices.Contains(f.Services["proxy"].Secrets, path.Base(file)) {
			t.Errorf("backend %s: password file %s", b.Name, file)
		}
	}
	if got := slices.Sorted(maps.Keys(f.Services)); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
		t.Errorf("services %v, config.yaml needs %v", got, want)
	}
	proxy := f.Services["proxy"]
	if grace, err := time.ParseDuration(proxy.StopGrace); err != nil || grace <= time.Duration(cfg.Timeouts.Shutdown) {
		t.Errorf("the proxy is killed after %s (%v); open transactions have %s to end", proxy.StopGrace, err, cfg.Timeouts.Shutdown)
	}
	_, port, _ := strings.Cut(cfg.Listen, ":")
	if !slices.Equal(proxy.Ports, []string{"127.0.0.1:" + port + ":" + port}) {
		t.Errorf("config listens on %s, published are %v", cfg.Listen, proxy.Ports)
	}
	docker := readRepository(t, "Dockerfile")
	mounted := strings.Split(proxy.Volumes[0], ":")
	if mounted[0] != "./config.yaml" || !strings.Contains(docker, `"--config", "`+mounted[1]+`"`) {
		t.Errorf("config.yaml is mounted as %v, which the Dockerfile's CMD does not read", mounted)
	}
	if !strings.Contains(docker, "COPY docker/healthcheck.sh /usr/local/bin/"+proxy.Healthcheck.Test[1]) {
		t.Errorf("the image lacks %s", proxy.Healthcheck.Test[1])
	}
}

// The proxy may sort text itself only with the servers' C library, so both images are of one
// Debian release; and the compiler is the one that go.mod asks for.
func TestImagesFitTogether(t *testing.T) {
	docker, module := readRepository(t, "Dockerfile"), readRepository(t, "go.mod")
	release := regexp.MustCompile(`(?m)^FROM debian:(\w+)-slim$`).FindStringSubmatch(docker)
	compiler := regexp.MustCompile(`(?m)^FROM golang:([\d.]+)-(\w+) `).FindStringSubmatch(docker)
	language := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(module)
	if release == nil || compiler == nil || language == nil {
		t.Fatalf("found %v, %v, %v", release, compiler, language)
	}
	if compiler[1] != language[1] || compiler[2] != release[1] {
		t.Errorf("golang %s on %s builds go %s for %s", compiler[1], compiler[2], language[1], release[1])
	}
	for name, s := range readCompose(t).Services {
		if s.Image != "" && s.Image != "postgres:16-"+release[1] {
			t.Errorf("%s runs %s", name, s.Image)
		}
		if s.Image != "" && !strings.Contains(docker, "\nCOPY --from="+s.Image+" /usr/lib/postgresql/16/bin/pg_dump /usr/lib/postgresql/16/bin/pg_restore ") {
			t.Errorf("the proxy's pg_dump is not of %s, which %s runs", s.Image, name)
		}
	}
}
