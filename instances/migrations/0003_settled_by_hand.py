"""Who said that an instance is a success, when and why; the times of its runs are left alone."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('instances', '0002_storage_parameters'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='instance',
            name='settled_at',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='instance',
            name='settled_because',
            field=models.CharField(blank=True, db_default='', default='', editable=False, max_length=500),
        ),
        migrations.AddField(
            model_name='instance',
            name='settled_by',
            field=models.ForeignKey(blank=True, db_index=False, editable=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddIndex(
            model_name='instance',
            index=models.Index(condition=models.Q(('settled_at__isnull', False)), fields=['settled_at'], name='instance_settled'),
        ),
        migrations.AddIndex(
            model_name='instance',
            index=models.Index(condition=models.Q(('settled_by__isnull', False)), fields=['settled_by'], name='instance_settled_by'),
        ),
        migrations.AddConstraint(
            model_name='instance',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('settled_at__isnull', True), ('settled_because', ''), ('settled_by__isnull', True)), models.Q(('settled_at__isnull', False), ('state', 'SUCCESS')), models.Q(('frozen_from', 'SUCCESS'), ('settled_at__isnull', False), ('state', 'FROZEN')), models.Q(('marked', True), ('settled_at__isnull', False), ('state', 'TERMINATING')), _connector='OR'), name='instance_settled_is_success'),
        ),
    ]
