"""An operation knows how far it has come, and what it is in each of its projects."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

# What was recorded before had ended when it was recorded.
ENDED = "UPDATE projects_operation SET total = succeeded + refused, ended_at = created_at"
# Going back: what was not done will not be.
GIVEN_UP = "UPDATE projects_operationobject SET ok = false, code = 'cancelled' WHERE ok IS NULL"

# What it is in a project changes while it runs, as it does itself, and then no more.
STAYS = """
CREATE TRIGGER operation_part_stays
    BEFORE UPDATE OR DELETE ON projects_operationpart
    FOR EACH ROW EXECUTE FUNCTION projects_refuse_change_of_record()
"""
MAY_GO = "DROP TRIGGER operation_part_stays ON projects_operationpart"


class Migration(migrations.Migration):

    dependencies = [
        ('projects', '0004_names_end_with_their_last_character'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='OperationPart',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('total', models.PositiveIntegerField(default=0)),
                ('succeeded', models.PositiveIntegerField(default=0)),
                ('refused', models.PositiveIntegerField(default=0)),
            ],
        ),
        migrations.AddField(
            model_name='operation',
            name='cancelled_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='operation',
            name='cancelled_by',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='operation',
            name='ended_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='operation',
            name='failures',
            field=models.PositiveSmallIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name='operation',
            name='served_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='operation',
            name='total',
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name='operationobject',
            name='project',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='projects.project'),
        ),
        migrations.AlterField(
            model_name='operationobject',
            name='ok',
            field=models.BooleanField(default=True, null=True),
        ),
        migrations.AddIndex(
            model_name='operation',
            index=models.Index(models.OrderBy(models.F('served_at'), nulls_first=True), models.F('id'), condition=models.Q(('ended_at', None)), name='operation_running'),
        ),
        migrations.AddIndex(
            model_name='operationobject',
            index=models.Index(condition=models.Q(('ok', None)), fields=['operation', 'object_id'], name='operation_pending'),
        ),
        migrations.AddField(
            model_name='operationpart',
            name='operation',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='parts', to='projects.operation'),
        ),
        migrations.AddField(
            model_name='operationpart',
            name='project',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='projects.project'),
        ),
        migrations.AddIndex(
            model_name='operationpart',
            index=models.Index(fields=['project', '-operation'], name='part_of_project'),
        ),
        migrations.AddConstraint(
            model_name='operationpart',
            constraint=models.UniqueConstraint(fields=('operation', 'project'), name='one_part_in_a_project'),
        ),
        migrations.RunSQL(ENDED, GIVEN_UP),
        migrations.RunSQL(STAYS, MAY_GO),
    ]
