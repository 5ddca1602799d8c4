package executor

import (
	"testing"

	"github.com/pleiad/pleiad/internal/wire"
)

func errorOf(fields ...string) []byte {
	frame, at := wire.Begin(nil, 'E')
	for _, f := range fields {
		frame = append(append(frame, f...), 0)
	}
	return wire.End(append(frame, 0), at)
}

func TestErrorsNameTheUsersObjects(t *testing.T) {
	d := &Derived{
		Tables:      map[string][2]string{"pleiad_7\x00app.p": {"app", "p"}},
		Parts:       map[string]string{"app.p": "p"},
		Constraints: map[string]string{"pleiad_7\x00app.p\x00app.p_pkey": "my_pk", "public\x00q\x00q_k_fkey9": "q_fk"},
	}
	for _, c := range []struct {
		d    *Derived
		in   []string
		want []string
	}{
		{d, []string{`Mduplicate key value violates unique constraint "app.p_pkey"`, "spleiad_7", "tapp.p", "napp.p_pkey"},
			[]string{`Mduplicate key value violates unique constraint "my_pk"`, "sapp", "tp", "nmy_pk"}},
		{d, []string{`Mnew row for relation "app.p" violates check constraint "c"`, "spleiad_7", "tapp.p", "nc"},
			[]string{`Mnew row for relation "p" violates check constraint "c"`, "sapp", "tp", "nc"}},
		{d, []string{`Mupdate or delete on table "app.p" violates foreign key constraint "q_k_fkey9" on table "q"`, "spublic", "tq", "nq_k_fkey9"},
			[]string{`Mupdate or delete on table "p" violates foreign key constraint "q_fk" on table "q"`, "spublic", "tq", "nq_fk"}},
		{d, []string{`Mother`, "spublic", "tx", "nq_k_fkey9"}, []string{`Mother`, "spublic", "tx", "nq_k_fkey9"}},
		{nil, []string{`Mnull value in column "n" of relation "app.p"`, "spleiad_7", "tapp.p"},
			[]string{`Mnull value in column "n" of relation "p"`, "sapp", "tp"}},
		{nil, []string{`Mx`, "spleiad_7", "tt"}, []string{`Mx`, "spublic", "tt"}},
	} {
		frame := errorOf(c.in...)
		if got, want := c.d.fix(frame, wire.ErrorField(frame, 's')), errorOf(c.want...); string(got) != string(want) {
			t.Errorf("%q\nbecomes %q\nwant    %q", c.in, got, want)
		}
	}
}
