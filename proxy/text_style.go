package proxy

import (
	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
)

// textIsExact tells whether values that are written as text in this session are read as what they were: other date styles
// write abbreviations of time zones that are ambiguous, and fewer digits of floats than they have are lost.
const textIsExact = "pg_catalog.current_setting('DateStyle') LIKE 'ISO%' AND pg_catalog.current_setting('extra_float_digits')::pg_catalog.int4 >= 1"

var refuseTextStyle = pgerr.New(pgerr.FeatureNotSupported,
	"this statement moves values of arrays or user types between backends as text, which DateStyle or extra_float_digits makes inexact").
	WithHint("SET datestyle = ISO; SET extra_float_digits = 1.")

// checkTextStyle makes sure that values can travel as text in the member's session.
func checkTextStyle(m *executor.Member) (failure []byte, err error) {
	rows, failure, err := m.Ask("SELECT " + textIsExact)
	if err == nil && failure == nil && string(rows[0][0]) != "t" {
		err = refuseTextStyle
	}
	return failure, err
}
