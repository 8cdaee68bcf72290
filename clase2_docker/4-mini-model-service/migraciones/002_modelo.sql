-- Qué modelo hizo cada predicción: sin eso, al cambiarlo no se sabría cuáles son de cada uno. Las filas anteriores a
-- esta migración no lo tienen.
ALTER TABLE predictions ADD COLUMN model_sha256 text;
