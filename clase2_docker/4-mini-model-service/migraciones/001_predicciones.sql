-- Una fila por predicción. Los límites de cada medida los comprueba el formulario; aquí queda lo que la base debe
-- garantizar aunque otro programa escriba en ella. Una migración aplicada no se edita: se añade otra, con el número
-- que sigue.
CREATE TABLE predictions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now(),
    fixed_acidity double precision NOT NULL,
    volatile_acidity double precision NOT NULL,
    citric_acid double precision NOT NULL,
    residual_sugar double precision NOT NULL,
    chlorides double precision NOT NULL,
    free_sulfur_dioxide double precision NOT NULL,
    total_sulfur_dioxide double precision NOT NULL,
    density double precision NOT NULL,
    ph double precision NOT NULL,
    sulphates double precision NOT NULL,
    alcohol double precision NOT NULL,
    quality text NOT NULL CHECK (quality IN ('baja', 'media', 'alta')),
    probability_baja double precision NOT NULL CHECK (probability_baja BETWEEN 0 AND 1),
    probability_media double precision NOT NULL CHECK (probability_media BETWEEN 0 AND 1),
    probability_alta double precision NOT NULL CHECK (probability_alta BETWEEN 0 AND 1)
);
