-- MurmurHash3 (x64, 128 bits, first half) as a hash operator family for partition keys.
--
-- bigint arithmetic raises an error where it leaves 64 bits, so products and sums modulo 2^64 are made of
-- 32-bit halves. A constant factor C is written as H * 2^32 + L with H and L in [-2^31, 2^31); then for
-- x = xh * 2^32 + xl, with xh signed and xl unsigned,
--     x * C = ((high half of xl*L) + xh*L + xl*H) * 2^32 + (low half of xl*L)   (mod 2^64)
-- where no product leaves bigint. Shifts do not check for overflow; >> keeps the sign, so a mask follows.
--
-- The family has no support function 1 on purpose (amvalidate says so too): the planner must never pick it
-- for a hash join, nor anyone make a hash index of it.

CREATE SCHEMA IF NOT EXISTS pleiad;

CREATE OR REPLACE FUNCTION pleiad.murmur3_int8_extended(v bigint, seed bigint)
RETURNS bigint LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog AS $$
DECLARE
  h1 bigint := seed & 4294967295;
  h2 bigint := h1;
  k1 bigint := v;
  p bigint;
BEGIN
  -- The eight bytes, big-endian, read as a little-endian word: reverse them.
  k1 := ((k1 & 71777214294589695) << 8) | ((k1 >> 8) & 71777214294589695);
  k1 := ((k1 & 281470681808895) << 16) | ((k1 >> 16) & 281470681808895);
  k1 := (k1 << 32) | ((k1 >> 32) & 4294967295);
  p := (k1 & 4294967295) * 289559509;  -- k1 * c1
  k1 := (((p >> 32) + ((((k1 >> 32) * 289559509) & 4294967295) + (((k1 & 4294967295) * (-2017231983)) & 4294967295))) << 32) | (p & 4294967295);
  k1 := (k1 << 31) | ((k1 >> 33) & 2147483647);  -- rotate left 31
  p := (k1 & 4294967295) * 658871167;  -- k1 * c2
  k1 := (((p >> 32) + ((((k1 >> 32) * 658871167) & 4294967295) + (((k1 & 4294967295) * 1291169091) & 4294967295))) << 32) | (p & 4294967295);
  h1 := h1 # k1;
  h1 := h1 # 8;
  h2 := h2 # 8;
  p := (h1 & 4294967295) + (h2 & 4294967295);  -- h1 = h1 + h2
  h1 := (((h1 >> 32) + (h2 >> 32) + (p >> 32)) << 32) | (p & 4294967295);
  p := (h2 & 4294967295) + (h1 & 4294967295);  -- h2 = h2 + h1
  h2 := (((h2 >> 32) + (h1 >> 32) + (p >> 32)) << 32) | (p & 4294967295);
  h1 := h1 # ((h1 >> 33) & 2147483647);
  p := (h1 & 4294967295) * (-313160499);  -- h1 * 0xff51afd7ed558ccd
  h1 := (((p >> 32) + ((((h1 >> 32) * (-313160499)) & 4294967295) + (((h1 & 4294967295) * (-11423784)) & 4294967295))) << 32) | (p & 4294967295);
  h1 := h1 # ((h1 >> 33) & 2147483647);
  p := (h1 & 4294967295) * 444984403;  -- h1 * 0xc4ceb9fe1a85ec53
  h1 := (((p >> 32) + ((((h1 >> 32) * 444984403) & 4294967295) + (((h1 & 4294967295) * (-993084930)) & 4294967295))) << 32) | (p & 4294967295);
  h1 := h1 # ((h1 >> 33) & 2147483647);
  h2 := h2 # ((h2 >> 33) & 2147483647);
  p := (h2 & 4294967295) * (-313160499);  -- h2 * 0xff51afd7ed558ccd
  h2 := (((p >> 32) + ((((h2 >> 32) * (-313160499)) & 4294967295) + (((h2 & 4294967295) * (-11423784)) & 4294967295))) << 32) | (p & 4294967295);
  h2 := h2 # ((h2 >> 33) & 2147483647);
  p := (h2 & 4294967295) * 444984403;  -- h2 * 0xc4ceb9fe1a85ec53
  h2 := (((p >> 32) + ((((h2 >> 32) * 444984403) & 4294967295) + (((h2 & 4294967295) * (-993084930)) & 4294967295))) << 32) | (p & 4294967295);
  h2 := h2 # ((h2 >> 33) & 2147483647);
  p := (h1 & 4294967295) + (h2 & 4294967295);  -- h1 = h1 + h2
  h1 := (((h1 >> 32) + (h2 >> 32) + (p >> 32)) << 32) | (p & 4294967295);
  RETURN h1;
END $$;

CREATE OR REPLACE FUNCTION pleiad.murmur3_bytes(data bytea, seed bigint)
RETURNS bigint LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog AS $$
DECLARE
  len int := length(data);
  b bytea := data || '\x000000000000000000000000000000'::bytea;
  h1 bigint := seed & 4294967295;
  h2 bigint := h1;
  k1 bigint;
  k2 bigint;
  p bigint;
  i int := 0;
BEGIN
  WHILE i < len LOOP
    k1 := get_byte(b, i)::bigint
      | (get_byte(b, i + 1)::bigint << 8)
      | (get_byte(b, i + 2)::bigint << 16)
      | (get_byte(b, i + 3)::bigint << 24)
      | (get_byte(b, i + 4)::bigint << 32)
      | (get_byte(b, i + 5)::bigint << 40)
      | (get_byte(b, i + 6)::bigint << 48)
      | (get_byte(b, i + 7)::bigint << 56);
    k2 := get_byte(b, i + 8)::bigint
      | (get_byte(b, i + 8 + 1)::bigint << 8)
      | (get_byte(b, i + 8 + 2)::bigint << 16)
      | (get_byte(b, i + 8 + 3)::bigint << 24)
      | (get_byte(b, i + 8 + 4)::bigint << 32)
      | (get_byte(b, i + 8 + 5)::bigint << 40)
      | (get_byte(b, i + 8 + 6)::bigint << 48)
      | (get_byte(b, i + 8 + 7)::bigint << 56);
    p := (k1 & 4294967295) * 289559509;  -- k1 * c1
    k1 := (((p >> 32) + ((((k1 >> 32) * 289559509) & 4294967295) + (((k1 & 4294967295) * (-2017231983)) & 4294967295))) << 32) | (p & 4294967295);
    k1 := (k1 << 31) | ((k1 >> 33) & 2147483647);  -- rotate left 31
    p := (k1 & 4294967295) * 658871167;  -- k1 * c2
    k1 := (((p >> 32) + ((((k1 >> 32) * 658871167) & 4294967295) + (((k1 & 4294967295) * 1291169091) & 4294967295))) << 32) | (p & 4294967295);
    h1 := h1 # k1;
    IF i + 16 > len THEN  -- the tail, padded with zeros: k2 is not mixed after k1
      p := (k2 & 4294967295) * 658871167;  -- k2 * c2
      k2 := (((p >> 32) + ((((k2 >> 32) * 658871167) & 4294967295) + (((k2 & 4294967295) * 1291169091) & 4294967295))) << 32) | (p & 4294967295);
      k2 := (k2 << 33) | ((k2 >> 31) & 8589934591);  -- rotate left 33
      p := (k2 & 4294967295) * 289559509;  -- k2 * c1
      k2 := (((p >> 32) + ((((k2 >> 32) * 289559509) & 4294967295) + (((k2 & 4294967295) * (-2017231983)) & 4294967295))) << 32) | (p & 4294967295);
      h2 := h2 # k2;
      EXIT;
    END IF;
    h1 := (h1 << 27) | ((h1 >> 37) & 134217727);  -- rotate left 27
    p := (h1 & 4294967295) + (h2 & 4294967295);  -- h1 = h1 + h2
    h1 := (((h1 >> 32) + (h2 >> 32) + (p >> 32)) << 32) | (p & 4294967295);
    p := (h1 & 4294967295) * 5 + 1390208809;  -- h1 * 5 + 0x52dce729
    h1 := (((p >> 32) + (h1 >> 32) * 5) << 32) | (p & 4294967295);
    p := (k2 & 4294967295) * 658871167;  -- k2 * c2
    k2 := (((p >> 32) + ((((k2 >> 32) * 658871167) & 4294967295) + (((k2 & 4294967295) * 1291169091) & 4294967295))) << 32) | (p & 4294967295);
    k2 := (k2 << 33) | ((k2 >> 31) & 8589934591);  -- rotate left 33
    p := (k2 & 4294967295) * 289559509;  -- k2 * c1
    k2 := (((p >> 32) + ((((k2 >> 32) * 289559509) & 4294967295) + (((k2 & 4294967295) * (-2017231983)) & 4294967295))) << 32) | (p & 4294967295);
    h2 := h2 # k2;
    h2 := (h2 << 31) | ((h2 >> 33) & 2147483647);  -- rotate left 31
    p := (h2 & 4294967295) + (h1 & 4294967295);  -- h2 = h2 + h1
    h2 := (((h2 >> 32) + (h1 >> 32) + (p >> 32)) << 32) | (p & 4294967295);
    p := (h2 & 4294967295) * 5 + 944331445;  -- h2 * 5 + 0x38495ab5
    h2 := (((p >> 32) + (h2 >> 32) * 5) << 32) | (p & 4294967295);
    i := i + 16;
  END LOOP;
  h1 := h1 # len::bigint;
  h2 := h2 # len::bigint;
  p := (h1 & 4294967295) + (h2 & 4294967295);  -- h1 = h1 + h2
  h1 := (((h1 >> 32) + (h2 >> 32) + (p >> 32)) << 32) | (p & 4294967295);
  p := (h2 & 4294967295) + (h1 & 4294967295);  -- h2 = h2 + h1
  h2 := (((h2 >> 32) + (h1 >> 32) + (p >> 32)) << 32) | (p & 4294967295);
  h1 := h1 # ((h1 >> 33) & 2147483647);
  p := (h1 & 4294967295) * (-313160499);  -- h1 * 0xff51afd7ed558ccd
  h1 := (((p >> 32) + ((((h1 >> 32) * (-313160499)) & 4294967295) + (((h1 & 4294967295) * (-11423784)) & 4294967295))) << 32) | (p & 4294967295);
  h1 := h1 # ((h1 >> 33) & 2147483647);
  p := (h1 & 4294967295) * 444984403;  -- h1 * 0xc4ceb9fe1a85ec53
  h1 := (((p >> 32) + ((((h1 >> 32) * 444984403) & 4294967295) + (((h1 & 4294967295) * (-993084930)) & 4294967295))) << 32) | (p & 4294967295);
  h1 := h1 # ((h1 >> 33) & 2147483647);
  h2 := h2 # ((h2 >> 33) & 2147483647);
  p := (h2 & 4294967295) * (-313160499);  -- h2 * 0xff51afd7ed558ccd
  h2 := (((p >> 32) + ((((h2 >> 32) * (-313160499)) & 4294967295) + (((h2 & 4294967295) * (-11423784)) & 4294967295))) << 32) | (p & 4294967295);
  h2 := h2 # ((h2 >> 33) & 2147483647);
  p := (h2 & 4294967295) * 444984403;  -- h2 * 0xc4ceb9fe1a85ec53
  h2 := (((p >> 32) + ((((h2 >> 32) * 444984403) & 4294967295) + (((h2 & 4294967295) * (-993084930)) & 4294967295))) << 32) | (p & 4294967295);
  h2 := h2 # ((h2 >> 33) & 2147483647);
  p := (h1 & 4294967295) + (h2 & 4294967295);  -- h1 = h1 + h2
  h1 := (((h1 >> 32) + (h2 >> 32) + (p >> 32)) << 32) | (p & 4294967295);
  RETURN h1;
END $$;

CREATE OR REPLACE FUNCTION pleiad.murmur3_int2_extended(v smallint, seed bigint)
RETURNS bigint LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
  RETURN pleiad.murmur3_int8_extended(v::bigint, seed);
END $$;

CREATE OR REPLACE FUNCTION pleiad.murmur3_int4_extended(v int, seed bigint)
RETURNS bigint LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
  RETURN pleiad.murmur3_int8_extended(v::bigint, seed);
END $$;

CREATE OR REPLACE FUNCTION pleiad.murmur3_text_extended(v text, seed bigint)
RETURNS bigint LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
  RETURN pleiad.murmur3_bytes(pg_catalog.convert_to(v, 'UTF8'), seed);
END $$;

CREATE OR REPLACE FUNCTION pleiad.murmur3_uuid_extended(v uuid, seed bigint)
RETURNS bigint LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
  RETURN pleiad.murmur3_bytes(pg_catalog.uuid_send(v), seed);
END $$;

DO $$
BEGIN
  IF NOT EXISTS (
    SELECT FROM pg_catalog.pg_opfamily f
    JOIN pg_catalog.pg_am a ON a.oid = f.opfmethod
    JOIN pg_catalog.pg_namespace n ON n.oid = f.opfnamespace
    WHERE a.amname = 'hash' AND n.nspname = 'pleiad' AND f.opfname = 'murmur3_ops'
  ) THEN
    CREATE OPERATOR FAMILY pleiad.murmur3_ops USING hash;
    CREATE OPERATOR CLASS pleiad.murmur3_int4_ops FOR TYPE int4 USING hash FAMILY pleiad.murmur3_ops AS
      OPERATOR 1 pg_catalog.=,
      FUNCTION 2 (int4, int4) pleiad.murmur3_int4_extended(int4, int8);
    CREATE OPERATOR CLASS pleiad.murmur3_int8_ops FOR TYPE int8 USING hash FAMILY pleiad.murmur3_ops AS
      OPERATOR 1 pg_catalog.=,
      FUNCTION 2 (int8, int8) pleiad.murmur3_int8_extended(int8, int8);
    CREATE OPERATOR CLASS pleiad.murmur3_text_ops FOR TYPE text USING hash FAMILY pleiad.murmur3_ops AS
      OPERATOR 1 pg_catalog.=,
      FUNCTION 2 (text, text) pleiad.murmur3_text_extended(text, int8);
    CREATE OPERATOR CLASS pleiad.murmur3_uuid_ops FOR TYPE uuid USING hash FAMILY pleiad.murmur3_ops AS
      OPERATOR 1 pg_catalog.=,
      FUNCTION 2 (uuid, uuid) pleiad.murmur3_uuid_extended(uuid, int8);
    -- Comparisons of one integer width with another prune partitions too.
    ALTER OPERATOR FAMILY pleiad.murmur3_ops USING hash ADD
      OPERATOR 1 pg_catalog.= (int2, int2),
      OPERATOR 1 pg_catalog.= (int2, int4),
      OPERATOR 1 pg_catalog.= (int2, int8),
      OPERATOR 1 pg_catalog.= (int4, int2),
      OPERATOR 1 pg_catalog.= (int4, int8),
      OPERATOR 1 pg_catalog.= (int8, int2),
      OPERATOR 1 pg_catalog.= (int8, int4),
      FUNCTION 2 (int2, int2) pleiad.murmur3_int2_extended(int2, int8);
  END IF;
END $$;
