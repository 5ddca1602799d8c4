package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// Load reads, checks and completes a file. When the contents are wrong the
// error is of type Errors and holds everything wrong with it.
func Load(path string) (*Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return Parse(text, path)
}

// Parse is Load for a text; name stands for the file in errors.
func Parse(text []byte, name string) (*Config, error) {
	d := decoder{file: name, lines: map[string]int{}}
	c := Default()
	root, err := document(text)
	if err != nil {
		return nil, Errors{syntaxError(name, err)}
	}
	if root != nil {
		d.value("", root, reflect.ValueOf(c).Elem())
	}
	c.Resolve()
	all := d.errs
	for _, e := range c.check() {
		if d.failed(e.Path) {
			continue // the value that was refused is not the one in c
		}
		e.File, e.Line = name, d.line(e.Path)
		all = append(all, e)
	}
	if len(all) > 0 {
		slices.SortStableFunc(all, func(a, b FieldError) int { return a.Line - b.Line })
		return nil, all
	}
	return c, nil
}

// document returns the only document of a text, nil when the text is empty.
func document(text []byte) (*yaml.Node, error) {
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var doc, second yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	if err := dec.Decode(&second); err == nil {
		return nil, fmt.Errorf("yaml: line %d: a second document; one is allowed", second.Line)
	} else if !errors.Is(err, io.EOF) {
		return nil, err
	}
	return doc.Content[0], nil
}

// syntaxError takes the line out of yaml.v3's text, the only place it has it.
func syntaxError(file string, err error) FieldError {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	e := FieldError{File: file, Allowed: "not YAML: " + text}
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		if number, message, ok := strings.Cut(rest, ": "); ok {
			if n, err := strconv.Atoi(number); err == nil {
				e.Line, e.Allowed = n, "not YAML: "+message
			}
		}
	}
	return e
}

// decoder writes YAML nodes into a Config. It does what yaml.v3 does with
// KnownFields, but goes on after an error and knows the path of each field.
type decoder struct {
	file  string
	errs  Errors
	lines map[string]int // of every path seen, in the file
}

func (d *decoder) fail(path string, n *yaml.Node, value, allowed string) {
	d.errs = append(d.errs, FieldError{File: d.file, Line: n.Line, Path: path, Value: value, Allowed: allowed})
}

// failed says if decoding path, or something it is part of, went wrong.
func (d *decoder) failed(path string) bool {
	return slices.ContainsFunc(d.errs, func(e FieldError) bool {
		return e.Path == "" || e.Path == path || strings.HasPrefix(path, e.Path+".") || strings.HasPrefix(path, e.Path+"[")
	})
}

// line is that of the field or of the nearest thing around it; 0 for none.
func (d *decoder) line(path string) int {
	for path != "" {
		if n, ok := d.lines[path]; ok {
			return n
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return 0
}

type parser interface{ parse(text string) error }
type defaulter interface{ setDefaults() }

// value decodes n into v. A null leaves the default.
func (d *decoder) value(path string, n *yaml.Node, v reflect.Value) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return
	}
	if p, ok := v.Addr().Interface().(parser); ok {
		if n.Kind != yaml.ScalarNode {
			d.wrongKind(path, n, "one value")
		} else if err := p.parse(n.Value); err != nil {
			d.fail(path, n, strconv.Quote(n.Value), err.Error())
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.fields(path, n, v)
	case reflect.Slice:
		d.list(path, n, v)
	case reflect.Map:
		d.entries(path, n, v)
	default:
		d.scalar(path, n, v)
	}
}

func (d *decoder) scalar(path string, n *yaml.Node, v reflect.Value) {
	if n.Kind != yaml.ScalarNode {
		d.wrongKind(path, n, "one value")
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(n.Value)
	case reflect.Int:
		var i int
		if n.Tag != "!!int" || n.Decode(&i) != nil {
			d.fail(path, n, strconv.Quote(n.Value), "must be a whole number")
			return
		}
		v.SetInt(int64(i))
	case reflect.Bool:
		var b bool
		if n.Tag != "!!bool" || n.Decode(&b) != nil {
			d.fail(path, n, strconv.Quote(n.Value), "must be true or false")
			return
		}
		v.SetBool(b)
	default:
		panic("config: no decoder for the type of " + path)
	}
}

func (d *decoder) wrongKind(path string, n *yaml.Node, want string) {
	found := map[yaml.Kind]string{yaml.SequenceNode: "a list", yaml.MappingNode: "a mapping", yaml.ScalarNode: "one value"}[n.Kind]
	d.fail(path, n, "", fmt.Sprintf("must be %s, not %s", want, found))
}

func (d *decoder) fields(path string, n *yaml.Node, v reflect.Value) {
	if n.Kind != yaml.MappingNode {
		d.wrongKind(path, n, "a mapping")
		return
	}
	known := fieldsOf(v.Type())
	d.pairs(path, n, func(name, at string, key, value *yaml.Node) {
		i := slices.IndexFunc(known, func(f field) bool { return f.key == name })
		switch {
		case i >= 0:
			d.value(at, value, v.FieldByIndex(known[i].index))
		case name == "password":
			d.fail(at, key, "", "a password is not written in this file; allowed: password_file or password_env")
		default:
			keys := make([]string, len(known))
			for j, f := range known {
				keys[j] = f.key
			}
			d.fail(at, key, "", "unknown key; allowed: "+strings.Join(keys, ", "))
		}
	})
}

func (d *decoder) entries(path string, n *yaml.Node, v reflect.Value) {
	if n.Kind != yaml.MappingNode {
		d.wrongKind(path, n, "a mapping")
		return
	}
	d.pairs(path, n, func(name, at string, _, value *yaml.Node) {
		element := reflect.New(v.Type().Elem()).Elem()
		d.value(at, value, element)
		v.SetMapIndex(reflect.ValueOf(name), element)
	})
}

// pairs calls f for each pair of a mapping, once for each key.
func (d *decoder) pairs(path string, n *yaml.Node, f func(name, at string, key, value *yaml.Node)) {
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := join(path, key.Value)
		switch {
		case key.Kind != yaml.ScalarNode || key.Value == "":
			d.fail(path, key, "", "a key must be a name")
			continue
		case seen[key.Value]:
			d.fail(at, key, "", "this key stands here twice")
			continue
		}
		seen[key.Value] = true
		d.lines[at] = key.Line
		f(key.Value, at, key, value)
	}
}

func (d *decoder) list(path string, n *yaml.Node, v reflect.Value) {
	if n.Kind != yaml.SequenceNode {
		d.wrongKind(path, n, "a list")
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, item := range n.Content {
		element := v.Index(i)
		if x, ok := element.Addr().Interface().(defaulter); ok {
			x.setDefaults()
		}
		at := fmt.Sprintf("%s[%d]", path, i)
		d.lines[at] = item.Line
		d.value(at, item, element)
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// field is one key of a struct; inline structs count as their parent's.
type field struct {
	key   string
	index []int
}

func fieldsOf(t reflect.Type) []field {
	var all []field
	for i := range t.NumField() {
		f := t.Field(i)
		key, option, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if option == "inline" {
			for _, in := range fieldsOf(f.Type) {
				all = append(all, field{in.key, append([]int{i}, in.index...)})
			}
			continue
		}
		all = append(all, field{key, []int{i}})
	}
	return all
}
