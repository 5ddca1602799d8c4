package config

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

const exampleFile = "../../config.yaml"

// keysOfType lists every key that can be written, with [] for an entry of a
// list and * for a name in a mapping.
func keysOfType(path string, t reflect.Type, all map[string]bool) {
	switch t.Kind() {
	case reflect.Struct:
		for _, f := range fieldsOf(t) {
			keysOfType(join(path, f.key), t.FieldByIndex(f.index).Type, all)
		}
	case reflect.Slice:
		keysOfType(path+"[]", t.Elem(), all)
	case reflect.Map:
		keysOfType(path+".*", t.Elem(), all)
	default:
		all[path] = true
	}
}

func keysOfNode(path string, n *yaml.Node, all map[string]bool) {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i < len(n.Content); i += 2 {
			key := n.Content[i].Value
			if path == "users" || path == "databases" {
				key = "*"
			}
			keysOfNode(join(path, key), n.Content[i+1], all)
		}
	case yaml.SequenceNode:
		for _, item := range n.Content {
			keysOfNode(path+"[]", item, all)
		}
	case yaml.ScalarNode:
		all[path] = true
	}
}

func TestExampleShowsEveryKey(t *testing.T) {
	text, err := os.ReadFile(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	shown, known := map[string]bool{}, map[string]bool{}
	keysOfNode("", doc.Content[0], shown)
	keysOfType("", reflect.TypeFor[Config](), known)
	if len(known) < 50 {
		t.Fatalf("only %d keys found in Config", len(known))
	}
	for key := range known {
		// A replica is written as a primary is; its TLS is shown there.
		if shown[key] || strings.HasPrefix(key, "backends[].replicas[].tls.") {
			continue
		}
		t.Errorf("config.yaml does not show %s", key)
	}
}

// What the example does not mark with "here:" is the default.
func TestExampleShowsDefaults(t *testing.T) {
	c, err := Load(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	differs := map[string]bool{
		"listen": true, "home": true, "backends": true, "backend_tls.mode": true,
		"credentials.password_file": true, "users": true, "databases": true,
	}
	for _, change := range Diff(Default(), c) {
		if !differs[change.Path] {
			t.Errorf("%v: config.yaml shows another value than the default", change)
		}
		delete(differs, change.Path)
	}
	for path := range differs {
		t.Errorf("%s: said to differ from the default and does not", path)
	}
	if got, want := c.PoolFor("postgres", "postgres"), Default().Pool; got != want {
		t.Errorf("pool of the example's user %+v, want the default %+v", got, want)
	}
}

// The marks [restart] in the example are those of the table in reload.go.
func TestExampleMarksRestart(t *testing.T) {
	text, err := os.ReadFile(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	want := 0
	for path, ok := range reloadable {
		// credentials and backend_tls carry one mark for their three or four keys.
		if !ok && !strings.HasPrefix(path, "credentials.") && !strings.HasPrefix(path, "backend_tls.") {
			want++
		}
	}
	want += 2
	if got := strings.Count(string(text), "[restart]") - 1; got != want { // one explains the mark
		t.Errorf("%d marks [restart] in config.yaml, want %d", got, want)
	}
}

func TestExampleFitsCompose(t *testing.T) {
	c, err := Load(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, b := range c.Backends {
		for _, s := range append([]Server{b.Primary}, b.Replicas...) {
			_, address := s.Address()
			got = append(got, s.Name+" "+address+" "+string(s.TLS.Mode)+" "+b.Credentials.PasswordFile)
		}
	}
	const secret = " disable /run/secrets/postgres_password"
	want := []string{
		"b1 b1:5432" + secret, "b1-r1 b1-r1:5432" + secret,
		"b2 b2:5432" + secret, "b2-r1 b2-r1:5432" + secret,
		"b3 b3:5432" + secret, "b3-r1 b3-r1:5432" + secret,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("servers\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
