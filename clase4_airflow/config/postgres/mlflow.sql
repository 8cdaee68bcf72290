-- La base de datos de MLflow, en el mismo servidor que la de Airflow.
CREATE DATABASE mlflow;
