-- Aggregates that backends compute in part. The states of float8's are those that parallel query passes from its
-- workers to the leader (pg_aggregate.aggcombinefn); they need no rights beyond calling them.

CREATE OR REPLACE AGGREGATE pleiad.float8_state(float8) (
  SFUNC = pg_catalog.float8_accum, STYPE = float8[], INITCOND = '{0,0,0}', COMBINEFUNC = pg_catalog.float8_combine, PARALLEL = SAFE);
CREATE OR REPLACE AGGREGATE pleiad.float8_merge(float8[]) (
  SFUNC = pg_catalog.float8_combine, STYPE = float8[], INITCOND = '{0,0,0}');
CREATE OR REPLACE AGGREGATE pleiad.regr_state(float8, float8) (
  SFUNC = pg_catalog.float8_regr_accum, STYPE = float8[], INITCOND = '{0,0,0,0,0,0}', COMBINEFUNC = pg_catalog.float8_regr_combine, PARALLEL = SAFE);
CREATE OR REPLACE AGGREGATE pleiad.regr_merge(float8[]) (
  SFUNC = pg_catalog.float8_regr_combine, STYPE = float8[], INITCOND = '{0,0,0,0,0,0}');

-- Variance and standard deviation of integers and numerics from the sums of values and squares and the number of values,
-- digit by digit as numeric_stddev_internal (numeric.c) gives them.
CREATE OR REPLACE FUNCTION pleiad.numeric_variance(total numeric, squares numeric, n numeric, sample boolean) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
  WHEN n = 0 OR sample AND n <= 1 THEN NULL
  WHEN n * squares - total * total <= 0 THEN 0
  ELSE (n * squares - total * total) / CASE WHEN sample THEN n * (n - 1) ELSE n * n END END;

-- The root has the scale of the variance there; 25 digits more make the rounding of a rounded root the root's own.
CREATE OR REPLACE FUNCTION pleiad.numeric_stddev(total numeric, squares numeric, n numeric, sample boolean) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (SELECT CASE WHEN v = 'NaN' OR v = 0 THEN v ELSE round(sqrt(round(v, scale(v) + 25)), scale(v)) END
  FROM (SELECT pleiad.numeric_variance(total, squares, n, sample)) AS x (v));
